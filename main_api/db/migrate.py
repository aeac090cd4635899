"""Brings a database to the newest revision in `migrations/versions`. Knows no tables.

All pending revisions run in one transaction: a process that is killed half way leaves the database as it was. Two
processes that start at once take turns: a file lock beside the SQLite file, an advisory lock in PostgreSQL.
"""

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy import Connection, NullPool, text

from main_api.db.engine import BUSY_TIMEOUT_MS, make_engine, sqlite_path
from main_api.db.failures import DatabaseTooNew

_SCRIPTS = Path(__file__).with_name("migrations")
_ADVISORY_LOCK = 7_494_190_114  # any number; the same in every process


def upgrade(url: str) -> None:
    """Upgrade the database at `url`; blocks, so call it in a thread. Raises `DatabaseTooNew`."""
    path = sqlite_path(url)
    if path is None:
        asyncio.run(_upgrade(url))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.migrate.lock"):  # the kernel lets go of it when the process dies
        _prepare_file(path)
        asyncio.run(_upgrade(url))


def _prepare_file(path: Path) -> None:
    """Create the file for our eyes only, and switch it to WAL; that is kept in the file."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


async def _upgrade(url: str) -> None:
    engine = make_engine(url, foreign_keys=False, poolclass=NullPool).execution_options(write=True)
    try:
        async with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            await connection.run_sync(_run_scripts)
    finally:
        await engine.dispose()


def _run_scripts(connection: Connection) -> None:
    config = alembic_config()
    _refuse_newer(connection, ScriptDirectory.from_config(config))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def alembic_config() -> Config:
    """Return Alembic's configuration; `attributes["connection"]` says what to work on."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _refuse_newer(connection: Connection, scripts: ScriptDirectory) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - known
    if unknown:
        raise DatabaseTooNew(
            f"The database is at revision {', '.join(sorted(unknown))}, which this version of Twinport does not know. "
            "Start the newer version again, or restore a backup that this version made."
        )
