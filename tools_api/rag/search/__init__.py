"""Search in collections: questions by meaning and words (`service.py`), and exact texts (`exact.py`).

Who may read which collection is decided before; what is asked of the indexes is in `indexes.py`.
"""
