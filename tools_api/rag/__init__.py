"""Documents in, cited passages out: collections of documents that are parsed, embedded and searched.

A collection's truth is one SQLite file; vectors (FAISS) and words (tantivy) are views of it that can be rebuilt.
"""
