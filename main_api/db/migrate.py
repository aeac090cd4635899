"""Brings a database to the newest revision in `migrations/versions`. Knows no tables.

All pending revisions run in one transaction: a process that is killed half way leaves the database as it was. Two
processes that start at once take turns: a file lock beside the SQLite file, an advisory lock in PostgreSQL.
"""

import asyncio
import os
import sqlite3
import sys
from asyncio.subprocess import PIPE
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import Connection, NullPool, text

from main_api.db.engine import BUSY_TIMEOUT_MS, make_engine, sqlite_path
from main_api.db.failures import DatabaseTooNew, translated_failures
from shared.errors import StorageFull, Unavailable

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

_ROOT = Path(__file__).resolve().parents[2]
_REFUSED = 3
_REFUSALS = (DatabaseTooNew, StorageFull, Unavailable)
_SCRIPTS = Path(__file__).with_name("migrations")
_ADVISORY_LOCK = 7_494_190_114  # any number; the same in every process


def newest_revision() -> str:
    """Return the revision that the code wants: scripts are named by their numbers, which are their revisions."""
    return max(path.name for path in (_SCRIPTS / "versions").glob("[0-9]*.py")).partition("_")[0]


async def upgrade_in_child(url: str) -> None:
    """Upgrade the database at `url` in a process of its own. Raises `DatabaseTooNew`, `StorageFull`, `Unavailable`.

    The URL goes through stdin: command lines can be read by everybody. If we are killed, the child finishes alone.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "main_api.db.migrate", cwd=_ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    answer, trace = await child.communicate(url.encode())
    if child.returncode == 0:
        return
    if child.returncode != _REFUSED:
        raise RuntimeError(f"The migration failed:\n{trace.decode(errors='replace')[-4000:]}")
    refusal = orjson.loads(answer)
    kind = next(kind for kind in _REFUSALS if kind.code == refusal["code"])
    raise kind(refusal["message"])


def main() -> int:
    """Upgrade the database whose URL is on stdin; `_REFUSED` and a JSON object on stdout for an error of ours."""
    try:
        with translated_failures():
            upgrade(sys.stdin.read())
    except _REFUSALS as refusal:
        sys.stdout.buffer.write(orjson.dumps({"code": refusal.code, "message": refusal.message}))
        return _REFUSED
    return 0


def upgrade(url: str) -> None:
    """Upgrade the database at `url`; blocks. Raises `DatabaseTooNew`."""
    from filelock import FileLock  # like Alembic, it would stay in the memory of those who only ask for the revision

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
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config()
    _refuse_newer(connection, ScriptDirectory.from_config(config))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def alembic_config() -> "Config":
    """Return Alembic's configuration; `attributes["connection"]` says what to work on."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _refuse_newer(connection: Connection, scripts: "ScriptDirectory") -> None:
    from alembic.migration import MigrationContext

    known = {script.revision for script in scripts.walk_revisions()}
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - known
    if unknown:
        raise DatabaseTooNew(
            f"The database is at revision {', '.join(sorted(unknown))}, which this version of Twinport does not know. "
            "Start the newer version again, or restore a backup that this version made."
        )


if __name__ == "__main__":
    sys.exit(main())
