"""Collections: what they are called and set to, whom they belong to, and with whom they are shared."""
