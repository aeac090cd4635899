"""A collection on the disk: its texts and vectors in one SQLite file, and two views of it that make it fast to search.

`chunks.db` is the truth. FAISS segments (`vectors/`) and the index of words (`words/`) can be lost and are made again
from it; each knows up to which change it has applied it. Nothing here knows about people or HTTP.
"""
