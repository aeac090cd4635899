"""Translates the database's errors into ours, by type and code. Constraint violations stay: the stores know them."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.errors import StorageFull, TwinportError, Unavailable
from shared.logging import get_logger

_log = get_logger("db")

_SQLITE_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
    }
)
# PostgreSQL, appendix A: 08 connection, 40 rollback (deadlock, serialization), 53 resources, 55 lock, 57 operator
_POSTGRES_UNAVAILABLE = ("08", "40", "53", "55", "57")
_POSTGRES_DISK_FULL = "53100"


class DatabaseTooNew(TwinportError):
    """The database was written by a newer Twinport than this one; nothing was changed in it."""

    code = "database_too_new"


@contextmanager
def translated_failures() -> Generator[None]:
    """Turn an unreachable, busy or full database into `Unavailable` or `StorageFull`; let all else pass."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        translation = _translate(error)
        if translation is None:
            raise
        _log.error("database failed", kind=type(error.orig).__name__, code=_code_of(error))
        raise translation from error
    except (PoolTimeoutError, OSError) as error:  # asyncpg lets a refused connection through as an OSError
        _log.error("database unreachable", kind=type(error).__name__)
        raise _unavailable() from error


def _translate(error: DBAPIError) -> TwinportError | None:
    code = _code_of(error)
    if code in (sqlite3.SQLITE_FULL, _POSTGRES_DISK_FULL):
        return StorageFull("The disk of the database is full; free some space and try again.")
    if code in _SQLITE_UNAVAILABLE or error.connection_invalidated:
        return _unavailable()
    if isinstance(code, str) and code.startswith(_POSTGRES_UNAVAILABLE):
        return _unavailable()
    return None


def _code_of(error: DBAPIError) -> int | str | None:
    """Return SQLite's primary result code, PostgreSQL's SQLSTATE, or None."""
    extended: int | None = getattr(error.orig, "sqlite_errorcode", None)
    if extended is not None:
        return extended & 0xFF
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state


def _unavailable() -> Unavailable:
    return Unavailable("The database cannot be reached or is busy; try again in a moment.", retry_after=1)
