"""What the model learns: one module a skill, each with `conversation(rng, words)`, listed in `mixture.py`."""
