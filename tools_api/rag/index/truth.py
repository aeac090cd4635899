"""The writing side of `chunks.db`: one connection, one thread at a time, every change in a transaction of its own."""

import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from shared.errors import Conflict, TwinportError
from tools_api.rag.index import schema
from tools_api.rag.index.failures import CollectionUnreadable, storage_failures
from tools_api.rag.index.rows import Row, chunk_row, document_row
from tools_api.rag.index.scrub import Scrubber
from tools_api.rag.index.values import DocumentToPut, VectorModel
from tools_api.rag.index.words_view import IdRange
from tools_api.rag.values import IndexType

_CHECKPOINT_WAIT_MS = 200
_VACUUM_PAGES = 2000


@dataclass(frozen=True, slots=True)
class Changes:
    """What a transaction did: ranges of chunk ids that came, ranges that went, and the number of its last change."""

    added: tuple[IdRange, ...]
    removed: tuple[IdRange, ...]
    upto: int


class Truth:
    """Opens an existing `chunks.db` for writing."""

    def __init__(self, path: Path) -> None:
        self._log = path.with_name(f"{path.name}-wal")
        with storage_failures():
            self._db = schema.connect(path)
            self._require_format()
        self._scrubber = Scrubber(path, schema.PAGE_BYTES)
        self.tidy()

    @property
    def model(self) -> VectorModel:
        """The model whose vectors are searched."""
        row = self._one("SELECT fingerprint, dimensions FROM collection")
        return VectorModel(*row)

    @property
    def next_model(self) -> VectorModel | None:
        """The model of the generation that is being filled."""
        row = self._one("SELECT next_fingerprint, next_dimensions FROM collection")
        return VectorModel(*row) if row[0] is not None else None

    @property
    def index_type(self) -> IndexType:
        """How larger segments are searched."""
        return cast("IndexType", self._one("SELECT index_type FROM collection")[0])

    @property
    def upto(self) -> int:
        """The number of the last change."""
        return int(self._one("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change'), 0)")[0])

    @property
    def words_to_purge(self) -> int:
        """The number of the last change whose words may still be in files of the index of words; 0 if none is."""
        return int(self._one("SELECT purge_words FROM collection")[0])

    @property
    def old_vectors_are_gone(self) -> bool:
        """Whether nothing is left of the vectors that a newer generation took the place of."""
        return not self._one("SELECT EXISTS (SELECT 1 FROM old_vector)")[0]

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Change things wholly or not at all. Raises `StorageFull`."""
        with storage_failures():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    with suppress(sqlite3.OperationalError):  # what failed is already on its way to the caller
                        self._db.execute("ROLLBACK")

    def set_index_type(self, index_type: IndexType) -> None:
        """Choose how larger segments are searched."""
        with self.transaction() as db:
            db.execute("UPDATE collection SET index_type = ?", (index_type,))

    def put(self, items: Iterable[DocumentToPut], applied: int) -> Changes:
        """Write documents in place of their earlier versions; changes up to `applied` are forgotten.

        Raises `StorageFull`, `InvalidRequest`."""
        added: list[IdRange] = []
        removed: list[IdRange] = []
        with self.transaction() as db:
            filling = self.next_model is not None
            for item in items:
                removed += _remove(db, [item.record.id])
                added.append(_insert(db, item, filling=filling))
            _note_purge(db, removed)
            _forget_changes(db, applied)
        return Changes(tuple(added), tuple(removed), self.upto)

    def delete(self, ids: Sequence[str], applied: int) -> Changes:
        """Remove documents that are there; changes up to `applied` are forgotten. Raises `StorageFull`."""
        with self.transaction() as db:
            removed = _remove(db, ids)
            _note_purge(db, removed)
            _forget_changes(db, applied)
        return Changes((), tuple(removed), self.upto)

    def words_are_purged(self, upto: int) -> None:
        """Note that nothing is left in the index of words of what was deleted up to that change."""
        with self.transaction() as db:
            db.execute("UPDATE collection SET purge_words = 0 WHERE purge_words <= ?", (upto,))

    def log_bytes(self) -> int:
        """Return the size of the write-ahead log."""
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def tidy(self) -> bool:
        """Write the log into the database and empty it, and leave nothing of deleted rows in either.

        Returns False if a reader was in the way; then it is to be called again. Raises `StorageFull`.
        """
        with storage_failures():
            self._scrubber.remember()
            self._db.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_WAIT_MS}")
            try:
                busy = self._one("PRAGMA wal_checkpoint(TRUNCATE)")[0]
            finally:
                self._db.execute("PRAGMA busy_timeout = 30000")
            if busy:
                return False
            if self._scrubber.scrub():
                self._db.execute("PRAGMA shrink_memory")  # its pages in memory still hold what was overwritten
            return True

    def shrink(self) -> bool:
        """Give some room back to the disk if much of the file is free; False if there is nothing to give."""
        free, pages = self._one("PRAGMA freelist_count")[0], self._one("PRAGMA page_count")[0]
        if free < _VACUUM_PAGES or free * 4 < pages:
            return False
        with storage_failures():
            self._db.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
        return self.tidy()

    def close(self) -> None:
        """Leave one clean file behind, if the disk allows it."""
        try:
            with suppress(TwinportError, sqlite3.OperationalError):
                self.tidy()
        finally:
            self._db.close()
            self._scrubber.close()

    def _require_format(self) -> None:
        found = self._one("PRAGMA user_version")[0]
        if found != schema.FORMAT:
            self._db.close()
            raise CollectionUnreadable("This collection was written by another version of Twinport.")

    def _one(self, sql: str) -> Row:
        return cast("Row", self._db.execute(sql).fetchone())


_INTO_CURRENT = "INSERT INTO vector (id, data) VALUES (?, ?)"
_INTO_NEXT = "INSERT INTO next_vector (id, data) VALUES (?, ?)"


def _insert(db: sqlite3.Connection, item: DocumentToPut, *, filling: bool) -> IdRange:
    first = int(db.execute("SELECT next_chunk FROM collection").fetchone()[0])
    end = first + len(item.chunks)
    document = db.execute(
        "INSERT INTO document (id, name, media_type, sha256, created_at, title, pages, metadata, first_chunk, chunks)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*document_row(item.record), first, len(item.chunks)),
    ).lastrowid
    db.executemany(
        'INSERT INTO chunk (id, document, ordinal, text, start, "end", page, page_end, headings)'
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((number, document, *chunk_row(chunk)) for number, chunk in enumerate(item.chunks, first)),
    )
    vectors: Iterable[Any] = item.vectors
    rows = ((number, memoryview(vector)) for number, vector in enumerate(vectors, first))
    db.executemany(_INTO_NEXT if filling else _INTO_CURRENT, rows)
    filled = len(item.chunks) if filling else 0
    db.execute("UPDATE collection SET next_chunk = ?, next_filled = next_filled + ?", (end, filled))
    _note(db, (first, end), added=True)
    return first, end


def _remove(db: sqlite3.Connection, ids: Sequence[str]) -> list[IdRange]:
    found = db.execute(
        "SELECT number, first_chunk, chunks FROM document WHERE id IN (SELECT value FROM json_each(?))",
        (orjson.dumps(list(ids)).decode(),),
    ).fetchall()
    for number, first, chunks in found:
        inside = (first, first + chunks)
        db.execute("DELETE FROM chunk WHERE id >= ? AND id < ?", inside)
        db.execute("DELETE FROM vector WHERE id >= ? AND id < ?", inside)
        emptied = db.execute("DELETE FROM next_vector WHERE id >= ? AND id < ?", inside).rowcount
        db.execute("UPDATE collection SET next_filled = next_filled - ?", (emptied,))
        db.execute("DELETE FROM document WHERE number = ?", (number,))
        _note(db, inside, added=False)
    return [(first, first + chunks) for _, first, chunks in found]


def _note(db: sqlite3.Connection, inside: IdRange, *, added: bool) -> None:
    db.execute('INSERT INTO change (first, "end", added) VALUES (?, ?, ?)', (*inside, added))


def _forget_changes(db: sqlite3.Connection, applied: int) -> None:
    db.execute("DELETE FROM change WHERE number <= ?", (applied,))
    db.execute("UPDATE collection SET changes_from = max(changes_from, ?)", (applied,))


def _note_purge(db: sqlite3.Connection, removed: Sequence[IdRange]) -> None:
    if removed:
        db.execute("UPDATE collection SET purge_words = (SELECT max(number) FROM change)")


def require_model(expected: VectorModel, fingerprint: str | None) -> None:
    """Refuse vectors of another model than the one that the collection takes now. Raises `Conflict`."""
    if fingerprint is not None and fingerprint != expected.fingerprint:
        raise Conflict("These vectors are of another embedding model than the collection's; embed the texts again.")
