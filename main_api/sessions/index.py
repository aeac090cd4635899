"""A SQLite index over the session files, for listing and full-text search. It can be thrown away at any time.

The files are the truth: a row carries the size and time of change of the file that it was made from, and one that does
not match is made again. So the database runs with `synchronous=OFF`: what a power cut takes is rebuilt from the files.
WAL lets searches go on while messages are added; writers queue for up to `busy_timeout` (`BEGIN IMMEDIATE`).
"""

import contextlib
import sqlite3
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from main_api.sessions.journal import Stamp
from main_api.sessions.records import SessionInfo, StoredMessage, Transcript, timestamp
from main_api.sessions.text_search import SNIPPET, indexed_text, match_expression, shown_snippet

_VERSION = 1
_SCHEMA = (
    "CREATE TABLE sessions (id TEXT PRIMARY KEY, user_id INTEGER NOT NULL, title TEXT, created_at TEXT NOT NULL,"
    " updated_at TEXT NOT NULL, message_count INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL)"
    " WITHOUT ROWID",
    "CREATE INDEX sessions_newest ON sessions (user_id, updated_at DESC, id DESC)",
    "CREATE TABLE entries (row INTEGER PRIMARY KEY, session_id TEXT NOT NULL, message_id TEXT, role TEXT,"
    " time TEXT NOT NULL)",
    "CREATE INDEX entries_of_session ON entries (session_id)",
    "CREATE VIRTUAL TABLE texts USING fts5 (owner, text, tokenize = 'unicode61 remove_diacritics 2')",
)
_SEARCHED_ROLES = {"user", "assistant"}
_SEARCHED_LENGTH = 100_000  # characters of one message; the rest of a longer one is kept but not found


@dataclass(frozen=True, slots=True)
class SessionPage:
    """A piece of a person's sessions, newest first; `total` counts all of them."""

    sessions: tuple[SessionInfo, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """A message that has all the words, or a title (`message_id` and `role` None).

    `highlights` are [start, end) offsets in `snippet`.
    """

    session_id: str
    title: str | None
    message_id: str | None
    role: str | None
    time: datetime
    snippet: str
    highlights: tuple[tuple[int, int], ...]


class SessionIndex:
    """The open index. Every method may be called from any thread; sqlite3's errors come through."""

    def __init__(self, path: Path | None) -> None:
        """Open the index at `path` (made if missing), or one in memory for None."""
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._writer = _connect(path)
        self._reader = self._writer
        try:
            self._prepare()
            if path is None:
                self._reading = self._writing  # a memory database belongs to its one connection
            else:
                path.chmod(0o600)
                self._reader = _connect(path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        with self._reading:
            self._reader.close()
        self._writer.close()

    def known(self) -> dict[tuple[int, str], Stamp]:
        """Return the stamp of every indexed file by user id and session id."""
        rows = self._read("SELECT user_id, id, size, mtime_ns FROM sessions", ())
        return {(row[0], row[1]): Stamp(row[2], row[3]) for row in rows}

    def replace(self, transcript: Transcript, stamp: Stamp) -> None:
        """Index a whole session anew."""
        info = transcript.info
        with self._transaction() as db:
            _forget(db, [info.id])
            db.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(info.id, info.user_id, info.title, timestamp(info.created_at), timestamp(info.updated_at)),
                    *(info.message_count, stamp.size, stamp.mtime_ns),
                ),
            )
            if info.title is not None:
                _add_title(db, info.id, info.user_id, info.title, info.created_at)
            for message in transcript.messages:
                _add_message(db, info.id, info.user_id, message)

    def add(self, user_id: int, session_id: str, message: StoredMessage, *, before: Stamp, after: Stamp) -> bool:
        """Add one message; False if the row was not made from the file as it was `before` (then `replace`)."""
        with self._transaction() as db:
            updated = db.execute(
                "UPDATE sessions SET updated_at = ?, message_count = message_count + 1, size = ?, mtime_ns = ?"
                " WHERE id = ? AND size = ?",
                (timestamp(message.time), after.size, after.mtime_ns, session_id, before.size),
            )
            if updated.rowcount:
                _add_message(db, session_id, user_id, message)
            return bool(updated.rowcount)

    def retitle(self, info: SessionInfo, title: str, *, before: Stamp, after: Stamp) -> bool:
        """Change a title; False as in `add`."""
        with self._transaction() as db:
            updated = db.execute(
                "UPDATE sessions SET title = ?, size = ?, mtime_ns = ? WHERE id = ? AND size = ?",
                (title, after.size, after.mtime_ns, info.id, before.size),
            )
            if updated.rowcount:
                _forget_entries(db, info.id, "session_id = ? AND message_id IS NULL")
                _add_title(db, info.id, info.user_id, title, info.created_at)
            return bool(updated.rowcount)

    def remove(self, session_ids: Iterable[str]) -> None:
        """Forget sessions, their words included."""
        with self._transaction() as db:
            _forget(db, session_ids)

    def scrub(self) -> None:
        """Merge the full-text index, so that no word of a removed session stays on the disk in a segment or the WAL."""
        with self._writing:
            self._writer.execute("INSERT INTO texts (texts) VALUES ('optimize')")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def page(self, user_id: int, *, limit: int, offset: int) -> SessionPage:
        """List a user's sessions that have messages."""
        rows = self._read(
            "SELECT id, user_id, title, created_at, updated_at, message_count FROM sessions"
            " WHERE user_id = ? AND message_count > 0 ORDER BY updated_at DESC, id DESC LIMIT ? OFFSET ?",
            (user_id, limit, offset),
        )
        counted = self._read("SELECT count(*) FROM sessions WHERE user_id = ? AND message_count > 0", (user_id,))
        return SessionPage(tuple(_info(row) for row in rows), counted[0][0])

    def search(self, user_id: int, typed: str, *, limit: int, offset: int) -> tuple[SearchHit, ...]:
        """Find a user's messages and titles, newest first."""
        query = match_expression(typed, owner=_owner(user_id))
        if query is None:
            return ()
        # The page is chosen first: a snippet is costly, and a sort would make one for every hit.
        rows = self._read(
            f"SELECT s.id, s.title, e.message_id, e.role, e.time, {SNIPPET}"  # noqa: S608 - a constant
            " FROM texts JOIN entries e ON e.row = texts.rowid JOIN sessions s ON s.id = e.session_id"
            " WHERE texts MATCH ? AND texts.rowid IN ("
            "   SELECT e.row FROM texts JOIN entries e ON e.row = texts.rowid"
            "   WHERE texts MATCH ? ORDER BY e.time DESC, e.row DESC LIMIT ? OFFSET ?)"
            " AND s.user_id = ? ORDER BY e.time DESC, e.row DESC",
            (query, query, limit, offset, user_id),
        )
        return tuple(_hit(row) for row in rows)

    def _prepare(self) -> None:
        with self._transaction() as db:  # two processes may start at once
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise sqlite3.DatabaseError(f"the index has version {version}")
            db.execute("SELECT count(*) FROM texts, sessions, entries WHERE 0").fetchone()

    def _read(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        with self._reading:
            return self._reader.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")


def _connect(path: Path | None) -> sqlite3.Connection:
    db = sqlite3.connect(path or ":memory:", timeout=5, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = OFF", "secure_delete = ON", "journal_size_limit = 4194304"):
            db.execute(f"PRAGMA {pragma}").fetchall()
    except sqlite3.Error:
        db.close()
        raise
    return db


def _owner(user_id: int) -> str:
    """The token that every text of a user carries, so that a query only ever walks that user's postings."""
    return f"u{user_id}"


def _add_message(db: sqlite3.Connection, session_id: str, user_id: int, message: StoredMessage) -> None:
    if message.role not in _SEARCHED_ROLES or not (text := message.text):
        return
    entry = (session_id, message.id, message.role, timestamp(message.time))
    _add_entry(db, entry, user_id, text[:_SEARCHED_LENGTH])


def _add_title(db: sqlite3.Connection, session_id: str, user_id: int, title: str, at: datetime) -> None:
    _add_entry(db, (session_id, None, None, timestamp(at)), user_id, title)


def _add_entry(db: sqlite3.Connection, entry: tuple[str | None, ...], user_id: int, text: str) -> None:
    row = db.execute("INSERT INTO entries (session_id, message_id, role, time) VALUES (?, ?, ?, ?)", entry).lastrowid
    db.execute("INSERT INTO texts (rowid, owner, text) VALUES (?, ?, ?)", (row, _owner(user_id), indexed_text(text)))


def _forget(db: sqlite3.Connection, session_ids: Iterable[str]) -> None:
    for session_id in session_ids:
        _forget_entries(db, session_id, "session_id = ?")
        db.execute("DELETE FROM sessions WHERE id = ?", (session_id,))


def _forget_entries(db: sqlite3.Connection, session_id: str, which: str) -> None:
    db.execute(f"DELETE FROM texts WHERE rowid IN (SELECT row FROM entries WHERE {which})", (session_id,))  # noqa: S608
    db.execute(f"DELETE FROM entries WHERE {which}", (session_id,))  # noqa: S608 - `which` is one of two constants


def _info(row: tuple[Any, ...]) -> SessionInfo:
    session_id, user_id, title, created_at, updated_at, message_count = row
    return SessionInfo(
        id=session_id,
        user_id=user_id,
        title=title,
        created_at=datetime.fromisoformat(created_at),
        updated_at=datetime.fromisoformat(updated_at),
        message_count=message_count,
    )


def _hit(row: tuple[Any, ...]) -> SearchHit:
    session_id, title, message_id, role, time, raw = row
    snippet, highlights = shown_snippet(raw)
    return SearchHit(
        session_id=session_id,
        title=title,
        message_id=message_id,
        role=role,
        time=datetime.fromisoformat(time),
        snippet=snippet,
        highlights=tuple(highlights),
    )
