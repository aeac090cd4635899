"""Makes engines for the two databases we support, with the pragmas and the BEGIN that SQLite needs."""

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Pool, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another process. Writers of one process queue in `Database.transaction`."""

_SQLITE_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    # FULL: a commit is on the disk before it is acknowledged, so a revoked key stays revoked after a power cut.
    # NORMAL would be enough against `kill -9` alone; our writes are few (usage comes in batches), so we pay the fsync.
    "PRAGMA synchronous = FULL",
    "PRAGMA journal_size_limit = 67108864",  # a long reader lets the WAL grow; give the space back afterwards
)


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite URL, or None for another database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise ValueError("An SQLite database needs a file: several connections share it.")
    return Path(parsed.database)


def make_engine(url: str, *, foreign_keys: bool = True, poolclass: type[Pool] | None = None) -> AsyncEngine:
    """Make an async engine. `foreign_keys=False` is for migrations, which rebuild tables on SQLite."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed, foreign_keys=foreign_keys, poolclass=poolclass)
    if poolclass is not None:
        return create_async_engine(parsed, poolclass=poolclass)
    return create_async_engine(parsed, pool_pre_ping=True, pool_size=10, max_overflow=10, pool_recycle=1800)


def _sqlite_engine(url: URL, *, foreign_keys: bool, poolclass: type[Pool] | None) -> AsyncEngine:
    # isolation_level None: the driver begins nothing by itself, the listener below does
    engine = create_async_engine(url, poolclass=poolclass, connect_args={"isolation_level": None})
    pragmas = (*_SQLITE_PRAGMAS, f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    def configure(dbapi_connection: Any, _record: Any) -> None:
        cursor = dbapi_connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    def begin(connection: Connection) -> None:
        # IMMEDIATE takes the write lock at once and waits for it; a read that turns into a write would fail instead
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine.sync_engine, "connect", configure)
    event.listen(engine.sync_engine, "begin", begin)
    return engine
