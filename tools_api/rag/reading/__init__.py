"""Reading what was found in its place: which documents there are, and the passages of one in their order."""
