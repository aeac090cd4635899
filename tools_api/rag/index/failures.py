"""What SQLite and the operating system say of a full disk, in the product's words."""

import errno
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import StorageFull, TwinportError, Unavailable
from shared.logging import get_logger

_log = get_logger("rag.index")

_NO_ROOM = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)
_NO_ROOM_ERRNO = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL = "The disk that holds the collections is full; free some room or delete documents, then try again."


class CollectionUnreadable(Unavailable):
    """A collection's file can't be read: it is damaged, or of a later version of the product."""

    code = "collection_unreadable"
    retryable = False


@contextmanager
def storage_failures() -> Generator[None]:
    """Translate what a full disk makes of writes. Raises `StorageFull`, `CollectionUnreadable`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code in _NO_ROOM:
            raise StorageFull(_FULL) from error
        if code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise CollectionUnreadable("This collection's file is damaged; restore it from a snapshot.") from error
        raise
    except OSError as error:
        if error.errno in _NO_ROOM_ERRNO:
            raise StorageFull(_FULL) from error
        raise


@contextmanager
def logged_failures(what: str) -> Generator[None]:
    """Log what went wrong in the background, where nobody waits for it; it is tried again later."""
    try:
        yield
    except (TwinportError, sqlite3.Error, OSError, RuntimeError) as error:
        _log.error("upkeep_failed", collection=what, error=repr(error.__cause__ or error))


def require_room(folder: Path, bytes_needed: int, reserve_bytes: int) -> None:
    """Refuse to begin what will not fit: a reserve stays free for deletions and merges. Raises `StorageFull`."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < bytes_needed + reserve_bytes:
        raise StorageFull(_FULL)
