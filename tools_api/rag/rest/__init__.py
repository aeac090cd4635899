"""Retrieval's paths that look into collections: search, exact search, reading, export, snapshots, how it stands."""
