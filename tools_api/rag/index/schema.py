"""The tables of `chunks.db`, and how its connections are set up.

Chunk ids only grow and are never used again. A document's chunks are one unbroken range of them, so conditions on
documents become ranges of ids, and deletions too.

* `synchronous = FULL`: a `put` that returned is on the disk. Ingestion then forgets what it put, and would not notice
  that a power cut took it back; commits are shared by many documents, so the one sync that WAL needs is not dear.
* `secure_delete = ON`: deleted cells are overwritten; `scrub.py` does the rest.
* Only the writer's connection writes the log into the database, when it is told to: an automatic checkpoint would not
  be followed by a scrub.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from shared.durable import sync_folder

FORMAT = 1
PAGE_BYTES = 8192
"""Five vectors of 384 numbers fit into a page; of 4,096 bytes a quarter would stay empty."""
_BUSY_S = 30.0

_TABLES = """
CREATE TABLE collection (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    index_type TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    next_fingerprint TEXT,
    next_dimensions INTEGER,
    next_filled INTEGER NOT NULL,
    next_chunk INTEGER NOT NULL,
    changes_from INTEGER NOT NULL,
    purge_words INTEGER NOT NULL
);
CREATE TABLE document (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    first_chunk INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    created_at TEXT NOT NULL,
    title TEXT,
    pages INTEGER,
    metadata TEXT NOT NULL
);
CREATE INDEX document_first_chunk ON document (first_chunk);
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY,
    document INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    page INTEGER,
    page_end INTEGER,
    headings TEXT NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE TABLE vector (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE next_vector (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE old_vector (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE change (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    first INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    added INTEGER NOT NULL
);
CREATE TABLE segment (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    first INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    kind TEXT NOT NULL,
    rows INTEGER NOT NULL,
    size INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    runs BLOB NOT NULL,
    next INTEGER NOT NULL
);
"""
"""`vector` is searched; `next_vector` is being filled for another embedding model, `next_filled` rows so far; what is
in `old_vector` waits to be overwritten. `change` numbers what came (`added`) and went, until the index of words has
applied it; `changes_from` is the number before the oldest that is kept. `segment.runs` are pairs of the first id and
the number of ids after each other, as 64-bit integers; `next` marks segments of what is in `next_vector`."""


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """Open the database; its transactions are begun and ended in words. Any thread may use it, one at a time."""
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=_BUSY_S,
    )
    db.execute("PRAGMA temp_store = MEMORY")  # nothing of a query is spilled into a file elsewhere
    db.execute("PRAGMA wal_autocheckpoint = 0")
    if not readonly:
        db.execute("PRAGMA secure_delete = ON")
        db.execute("PRAGMA synchronous = FULL")
    return db


def create(path: Path, *, index_type: str, fingerprint: str, dimensions: int) -> None:
    """Make the database, unless it is there; a file of this name is always a whole one."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.new")
    for suffix in ("", "-wal", "-shm"):
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)
    with closing(connect(draft)) as db:
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(_TABLES)
        db.execute(
            "INSERT INTO collection VALUES (1, ?, ?, ?, NULL, NULL, 0, 1, 0, 0)", (index_type, fingerprint, dimensions)
        )
        db.execute(f"PRAGMA user_version = {FORMAT}")
    draft.replace(path)  # closing the only connection has put everything into this one file
    sync_folder(path.parent)
