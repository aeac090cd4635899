"""The reading side of `chunks.db`: questions that a snapshot of the database answers, on connections of their own."""

import sqlite3
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from tools_api.rag.index import schema
from tools_api.rag.index.failures import storage_failures
from tools_api.rag.index.filters import Condition
from tools_api.rag.index.rows import CHUNK_COLUMNS, DOCUMENT_COLUMNS, Row, StoredChunks, record_of, words_row
from tools_api.rag.index.values import IndexedDocument
from tools_api.rag.index.words_view import IdRange, WordsRow
from tools_api.rag.values import StoredChunk

_KEPT = 4

_STORED = f"SELECT {CHUNK_COLUMNS}, {DOCUMENT_COLUMNS} FROM chunk c JOIN document d ON d.number = c.document"  # noqa: S608
_DOCUMENTS = f"SELECT {DOCUMENT_COLUMNS}, d.first_chunk, d.chunks FROM document d"  # noqa: S608 - names of columns only
_WORDS = (
    "SELECT c.id, c.text, c.headings, d.title, d.name FROM chunk c JOIN document d ON d.number = c.document"
    " WHERE c.id >= ? AND c.id < ? ORDER BY c.id LIMIT ?"
)
_WORDS_AT_ONCE = 500

_AMONG = "WHERE c.id IN (SELECT value FROM json_each(?)) ORDER BY c.id"
_RANGES = "SELECT d.first_chunk, d.first_chunk + d.chunks FROM document d WHERE d.chunks > 0"


class Readers:
    """Read-only connections of one database; up to four are kept between uses."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def use(self) -> Generator[sqlite3.Connection]:
        """Lend a connection to the calling thread."""
        with self._lock:
            db = self._idle.pop() if self._idle else None
        db = db or schema.connect(self._path, readonly=True)
        try:
            with storage_failures():
                yield db
        finally:
            self._give_back(db)

    @contextmanager
    def snapshot(self) -> Generator[sqlite3.Connection]:
        """Lend a connection that sees one moment of the database throughout. While it is open, the log grows."""
        with self.use() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("ROLLBACK")

    def close(self) -> None:
        """Close what is idle now, and the others as they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for db in idle:
            db.close()

    def _give_back(self, db: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _KEPT:
                self._idle.append(db)
                return
        db.close()


def document(db: sqlite3.Connection, document_id: str) -> IndexedDocument | None:
    """Find a document by its id."""
    row = db.execute(f"{_DOCUMENTS} WHERE d.id = ?", (document_id,)).fetchone()
    return _indexed(row) if row else None


def documents(db: sqlite3.Connection, after: str, limit: int) -> list[IndexedDocument]:
    """List documents in the order of their ids."""
    rows = db.execute(f"{_DOCUMENTS} WHERE d.id > ? ORDER BY d.id LIMIT ?", (after, limit))
    return [_indexed(row) for row in rows]


def all_documents(db: sqlite3.Connection) -> Iterable[IndexedDocument]:
    """Read every document, in the order of its chunks."""
    return map(_indexed, db.execute(f"{_DOCUMENTS} ORDER BY d.first_chunk, d.number"))


def stored_chunks(db: sqlite3.Connection, ids: Sequence[int]) -> list[StoredChunk]:
    """Read chunks in the order of `ids`; those that are not there are left out."""
    reader = StoredChunks()
    found: dict[int, StoredChunk] = {}
    wanted = orjson.dumps(list(ids)).decode()
    for row in db.execute(f"{_STORED} {_AMONG}", (wanted,)):
        found[row[0]] = reader.read(row)
    return [found[number] for number in ids if number in found]


def chunks_in(db: sqlite3.Connection, inside: IdRange, limit: int) -> list[StoredChunk]:
    """Read up to `limit` chunks of a range of ids, in their order."""
    reader = StoredChunks()
    rows = db.execute(f"{_STORED} WHERE c.id >= ? AND c.id < ? ORDER BY c.id LIMIT ?", (*inside, limit))
    return [reader.read(row) for row in rows]


def lacking_vectors(db: sqlite3.Connection, after: int, limit: int) -> list[StoredChunk]:
    """Read chunks behind `after` that have no vector in the generation that is being filled."""
    reader = StoredChunks()
    lacking = "WHERE c.id > ? AND NOT EXISTS (SELECT 1 FROM next_vector v WHERE v.id = c.id) ORDER BY c.id LIMIT ?"
    return [reader.read(row) for row in db.execute(f"{_STORED} {lacking}", (after, limit))]


def without_vectors(db: sqlite3.Connection) -> list[str]:
    """Read the ids of documents that came while another generation was filled; all their chunks lack a vector."""
    bare = "chunks > 0 AND NOT EXISTS (SELECT 1 FROM vector v WHERE v.id = first_chunk)"
    return [row[0] for row in db.execute(f"SELECT id FROM document WHERE {bare} ORDER BY id")]  # noqa: S608 - a constant


def words_rows(db: sqlite3.Connection, ranges: Sequence[IdRange]) -> Iterable[WordsRow]:
    """Read what the index of words needs of the chunks in these ranges that are still there, block by block."""
    for first, end in ranges:
        start = first
        while block := db.execute(_WORDS, (start, end, _WORDS_AT_ONCE)).fetchall():
            yield from map(words_row, block)
            start = block[-1][0] + 1


def changes_after(db: sqlite3.Connection, number: int, limit: int) -> list[tuple[int, int, int, bool]]:
    """Read changes in their order, as number, first chunk, end, and whether it came."""
    rows: list[Row] = db.execute(
        'SELECT number, first, "end", added FROM change WHERE number > ? ORDER BY number LIMIT ?', (number, limit)
    ).fetchall()
    return [(row[0], row[1], row[2], bool(row[3])) for row in rows]


def changes_from(db: sqlite3.Connection) -> int:
    """Return the number before the oldest change that is kept."""
    return int(db.execute("SELECT changes_from FROM collection").fetchone()[0])


def last_change(db: sqlite3.Connection) -> int:
    """Return the number of the last change, kept or not."""
    row = db.execute("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change'), 0)").fetchone()
    return int(row[0])


def live_ranges(db: sqlite3.Connection) -> list[IdRange]:
    """Return the ranges of ids that documents have."""
    rows = db.execute("SELECT first_chunk, first_chunk + chunks FROM document WHERE chunks > 0 ORDER BY first_chunk")
    return joined_ranges(rows)


def ranges_where(db: sqlite3.Connection, condition: Condition, ids: Sequence[str] | None) -> list[IdRange]:
    """Return the ranges of the documents that fulfil a condition and, if `ids` are given, are one of them."""
    sql = f"{_RANGES} AND {condition.sql}"
    values = condition.values
    if ids is not None:
        sql += " AND d.id IN (SELECT value FROM json_each(?))"
        values = (*values, orjson.dumps(list(ids)).decode())
    return joined_ranges(db.execute(f"{sql} ORDER BY d.first_chunk", values))


def counts(db: sqlite3.Connection) -> tuple[int, int, int | None]:
    """Count documents, chunks, and the chunks that the next generation lacks if one is being filled."""
    number, chunks = db.execute("SELECT count(*), coalesce(sum(chunks), 0) FROM document").fetchone()
    fingerprint, filled = db.execute("SELECT next_fingerprint, next_filled FROM collection").fetchone()
    return number, chunks, None if fingerprint is None else chunks - filled


def joined_ranges(rows: Iterable[tuple[int, int]]) -> list[IdRange]:
    """Join ascending ranges that touch."""
    joined: list[IdRange] = []
    for first, end in rows:
        if joined and joined[-1][1] >= first:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return joined


def _indexed(row: Row) -> IndexedDocument:
    return IndexedDocument(record=record_of(row[:8]), first_chunk=row[8], chunks=row[9])
