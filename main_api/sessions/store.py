"""The sessions on disk: one append-only file each, and the index beside them. Blocking; the service runs it in threads.

    <folder>/<user_id>/<session_id>.jsonl    the truth (0600, folders 0700)
    <folder>/index.db                        made from the files, see `index.py`

A file's lock is held while its index rows change, so an append and a delete cannot cross and leave rows without a file.
An index that fails (disk full, damaged) never fails a write of the truth: its rows are made again later.
"""

import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from main_api.sessions import journal
from main_api.sessions.index import SearchHit, SessionIndex, SessionPage
from main_api.sessions.journal import Journal, Stamp
from main_api.sessions.records import (
    SessionNotFound,
    StoredMessage,
    Transcript,
    checked_session_id,
    header_line,
    message_line,
    read_transcript,
    title_line,
)
from shared.errors import StorageFull, Unavailable
from shared.logging import get_logger

T = TypeVar("T")

_TEMPORARY = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR}

_log = get_logger("sessions")


class SessionFull(StorageFull):
    """The session has reached the size that one file may have."""

    code = "session_full"

    def __init__(self) -> None:
        super().__init__("This session is full. Start a new one; this one can still be read, exported and searched.")


class SessionStore:
    """Every method may be called from any thread. `sync`: see `journal.py`. Sizes are in bytes."""

    def __init__(self, folder: Path, *, sync: bool = True, max_session_bytes: int = 64 * 2**20) -> None:
        self._folder = folder
        self._sync = sync
        self._max_session_bytes = max_session_bytes
        self._stale: set[tuple[int, str]] = set()
        self._index_lock = threading.Lock()
        self._index: SessionIndex | None = None

    def open(self) -> None:
        """Repair torn files and bring the index up to date with the files."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._index = self._load_index()

    def close(self) -> None:
        if self._index is not None:
            self._index.close()

    def create(self, user_id: int, session_id: str, first: StoredMessage) -> None:
        """Begin a session with its first message. Raises `StorageFull`."""
        header = header_line(session_id, user_id, first.time)
        with journal.created(self._path(user_id, session_id), sync=self._sync) as file:
            file.append(header + message_line(first))
            self._index_anew(file, user_id, session_id)

    def append(self, user_id: int, session_id: str, message: StoredMessage) -> None:
        """Add a message. Raises `SessionNotFound`, `StorageFull`; when it returns, the message is kept."""
        line = message_line(message)
        with self._locked(user_id, session_id) as file:
            before = file.stamp()
            if message.role != "assistant" and before.size + len(line) > self._max_session_bytes:
                raise SessionFull
            file.append(line)

            def add(index: SessionIndex) -> None:
                if not index.add(user_id, session_id, message, before=before, after=file.stamp()):
                    _replace(index, file)

            self._try_index(user_id, session_id, add)

    def set_title(self, user_id: int, session_id: str, title: str, *, only_if_unset: bool = False) -> bool:
        """Rename a session; False if it has a title already and `only_if_unset`. Raises as `append`."""
        with self._locked(user_id, session_id) as file:
            transcript = read_transcript(file.read_lines())
            if transcript is None:
                raise SessionNotFound
            if only_if_unset and transcript.info.title is not None:
                return False
            before = file.stamp()
            file.append(title_line(title, datetime.now(UTC)))

            def retitle(index: SessionIndex) -> None:
                if not index.retitle(transcript.info, title, before=before, after=file.stamp()):
                    _replace(index, file)

            self._try_index(user_id, session_id, retitle)
        return True

    def read(self, user_id: int, session_id: str) -> Transcript:
        """Read a session with its messages. Raises `SessionNotFound`."""
        try:
            transcript = read_transcript(journal.read_lines(self._path(user_id, session_id)))
        except (FileNotFoundError, NotADirectoryError):
            raise SessionNotFound from None
        if transcript is None:
            raise SessionNotFound
        if transcript.unreadable:
            _log.warning("session_lines_unreadable", session_id=session_id, lines=transcript.unreadable)
        return transcript

    def delete(self, user_id: int, session_id: str) -> None:
        """Delete the file and every trace of it in the index. Raises `SessionNotFound`."""
        self._delete(user_id, session_id)
        self._scrub()

    def delete_user(self, user_id: int) -> int:
        """Delete all sessions of a user; return how many."""
        names = [path.stem for path in self._user_folder(user_id).glob("ses_*.jsonl")]
        for session_id in names:
            self._delete(user_id, session_id)
        self._scrub()
        return len(names)

    def page(self, user_id: int, *, limit: int, offset: int) -> SessionPage:
        """List a user's sessions, newest first."""
        return self._with_index(lambda index: index.page(user_id, limit=limit, offset=offset))

    def search(self, user_id: int, typed: str, *, limit: int, offset: int) -> tuple[SearchHit, ...]:
        """Find a user's messages and titles that have all the words of `typed`, newest first."""
        return self._with_index(lambda index: index.search(user_id, typed, limit=limit, offset=offset))

    def _delete(self, user_id: int, session_id: str) -> None:
        path = self._path(user_id, session_id)
        with self._locked(user_id, session_id):
            path.unlink()
            self._try_index(user_id, session_id, lambda index: index.remove([session_id]))

    def _scrub(self) -> None:
        try:
            self._with_index(lambda index: index.scrub())
        except Unavailable as error:
            _log.warning("session_index_not_scrubbed", error=str(error.__cause__))

    def _user_folder(self, user_id: int) -> Path:
        return self._folder / str(int(user_id))

    def _path(self, user_id: int, session_id: str) -> Path:
        return self._user_folder(user_id) / f"{checked_session_id(session_id)}.jsonl"

    @contextmanager
    def _locked(self, user_id: int, session_id: str) -> Generator[Journal]:
        """Open a session for writing, repaired."""
        path = self._path(user_id, session_id)
        try:
            with journal.opened(path, sync=self._sync) as file:
                if torn := file.repair():
                    _log.warning("session_repaired", session_id=session_id, torn_bytes=torn)
                yield file
        except (FileNotFoundError, NotADirectoryError):
            raise SessionNotFound from None

    # The index

    def _load_index(self) -> SessionIndex:
        """Open the index; make a damaged one anew; go on in memory where none can be written (a full disk)."""
        path = self._folder / "index.db"
        for _ in ("as it is", "anew"):
            try:
                return self._loaded_index(path)
            except sqlite3.Error as error:
                _log.warning("session_index_unusable", error=str(error))
                if _is_temporary(error):
                    break
            for leftover in self._folder.glob("index.db*"):
                leftover.unlink(missing_ok=True)
        return self._loaded_index(None)

    def _loaded_index(self, path: Path | None) -> SessionIndex:
        index = SessionIndex(path)
        try:
            self._reconcile(index)
        except sqlite3.Error:
            index.close()
            raise
        return index

    def _reconcile(self, index: SessionIndex) -> None:
        """Compare every file with its row; a crash may have come between the two."""
        known = index.known()
        found = set[tuple[int, str]]()
        for key, stamp in self._files():
            found.add(key)
            if known.get(key) != stamp:
                self._reindex(index, key)
        gone = [session_id for user_id, session_id in known if (user_id, session_id) not in found]
        if gone:
            index.remove(gone)
            index.scrub()

    def _files(self) -> Iterator[tuple[tuple[int, str], Stamp]]:
        for path in self._folder.glob("[0-9]*/ses_*.jsonl"):
            with suppress(FileNotFoundError):  # deleted meanwhile
                status = path.stat()
                yield (int(path.parent.name), path.stem), Stamp(status.st_size, status.st_mtime_ns)

    def _reindex(self, index: SessionIndex, key: tuple[int, str]) -> None:
        try:
            with self._locked(*key) as file:
                _replace(index, file)
        except SessionNotFound:  # deleted meanwhile, or a file that is none of ours
            index.remove([key[1]])

    def _index_anew(self, file: Journal, user_id: int, session_id: str) -> None:
        self._try_index(user_id, session_id, lambda index: _replace(index, file))

    def _try_index(self, user_id: int, session_id: str, change: Callable[[SessionIndex], None]) -> None:
        """Change the index after the truth was written; a failure is made good before the next listing."""
        try:
            change(self._opened_index())
        except sqlite3.Error as error:
            _log.warning("session_index_stale", session_id=session_id, error=str(error))
            self._stale.add((user_id, session_id))

    def _with_index(self, use: Callable[[SessionIndex], T]) -> T:
        """Use the index after healing it; a damaged one is made anew from the files, once. Raises `Unavailable`."""
        index = self._opened_index()
        try:
            self._heal(index)
            return use(index)
        except sqlite3.Error as error:
            if _is_temporary(error):
                raise _busy() from error
            _log.warning("session_index_damaged", error=str(error))
        with self._index_lock:
            if self._index is index:  # else another thread was faster
                index.close()
                self._index = self._load_index()
        try:
            return use(self._opened_index())
        except sqlite3.Error as error:
            raise _busy() from error

    def _heal(self, index: SessionIndex) -> None:
        for key in list(self._stale):
            try:
                self._reindex(index, key)
            except sqlite3.OperationalError:  # still full or busy: a listing that is late beats none
                return
            self._stale.discard(key)

    def _opened_index(self) -> SessionIndex:
        if self._index is None:
            raise RuntimeError("the session store is not open")
        return self._index


def _replace(index: SessionIndex, file: Journal) -> None:
    transcript = read_transcript(file.read_lines())
    if transcript is None:
        raise SessionNotFound
    index.replace(transcript, file.stamp())


def _is_temporary(error: sqlite3.Error) -> bool:
    """Tell a full or busy disk from a damaged database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _TEMPORARY


def _busy() -> Unavailable:
    return Unavailable("The list of sessions cannot be read right now. Try again in a moment.", retry_after=1)
