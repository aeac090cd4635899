"""Collections on their way out and in: export of passages, snapshots, and collections made from them."""
