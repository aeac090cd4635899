"""Tools that the product does not have itself: `phrases/special/` read, and values for their arguments."""
