"""Where the bundled model comes from: its corpus, its training, its export and its evaluation.

Nothing here is imported by the servers, and torch is needed for training only (the extra `training`).
"""
