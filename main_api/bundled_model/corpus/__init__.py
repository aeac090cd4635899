"""The synthetic conversations that the bundled model is trained on: made on the fly from a seed, never stored."""
