"""Brings a database to the newest of a folder's revisions. Knows no tables.

All pending revisions run in one transaction: a process that is killed half way leaves the database as it was. Two
processes that start at once take turns: a file lock beside the SQLite file, an advisory lock in PostgreSQL.
"""

import asyncio
import os
import sqlite3
import sys
from asyncio.subprocess import PIPE
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import Connection, NullPool, text

from shared.database.engine import BUSY_TIMEOUT_MS, make_engine, sqlite_path
from shared.database.failures import DatabaseTooNew, translated_failures
from shared.errors import StorageFull, Unavailable

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

_ROOT = Path(__file__).resolve().parents[2]
_REFUSED = 3
_REFUSALS = (DatabaseTooNew, StorageFull, Unavailable)
_SCRIPTS = Path(__file__).with_name("scripts")
_ADVISORY_LOCK = 7_494_190_114  # any number; the same in every process


@dataclass(frozen=True, slots=True)
class Migrations:
    """Where revisions are, and the table in which a database keeps how far it is."""

    folder: Path
    version_table: str = "alembic_version"

    def newest(self) -> str:
        """Return the revision that the code wants: scripts are named by their numbers, which are their revisions."""
        return max(path.name for path in self.folder.glob("[0-9]*.py")).partition("_")[0]


async def upgrade_in_child(url: str, migrations: Migrations) -> None:
    """Upgrade the database at `url` in a process of its own. Raises `DatabaseTooNew`, `StorageFull`, `Unavailable`.

    The URL goes through stdin: command lines can be read by everybody. If we are killed, the child finishes alone.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "shared.database.migrate", cwd=_ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    order = {"url": url, "folder": str(migrations.folder), "version_table": migrations.version_table}
    answer, trace = await child.communicate(orjson.dumps(order))
    if child.returncode == 0:
        return
    if child.returncode != _REFUSED:
        raise RuntimeError(f"The migration failed:\n{trace.decode(errors='replace')[-4000:]}")
    refusal = orjson.loads(answer)
    kind = next(kind for kind in _REFUSALS if kind.code == refusal["code"])
    raise kind(refusal["message"])


def main() -> int:
    """Upgrade the database that stdin describes; `_REFUSED` and a JSON object on stdout for an error of ours."""
    order = orjson.loads(sys.stdin.buffer.read())
    try:
        with translated_failures():
            upgrade(order["url"], Migrations(Path(order["folder"]), order["version_table"]))
    except _REFUSALS as refusal:
        sys.stdout.buffer.write(orjson.dumps({"code": refusal.code, "message": refusal.message}))
        return _REFUSED
    return 0


def upgrade(url: str, migrations: Migrations) -> None:
    """Upgrade the database at `url`; blocks. Raises `DatabaseTooNew`."""
    from filelock import FileLock  # like Alembic, it would stay in the memory of those who only ask for the revision

    path = sqlite_path(url)
    if path is None:
        asyncio.run(_upgrade(url, migrations))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.migrate.lock"):  # the kernel lets go of it when the process dies
        _prepare_file(path)
        asyncio.run(_upgrade(url, migrations))


def _prepare_file(path: Path) -> None:
    """Create the file for our eyes only, and switch it to WAL; that is kept in the file."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


async def _upgrade(url: str, migrations: Migrations) -> None:
    engine = make_engine(url, foreign_keys=False, poolclass=NullPool).execution_options(write=True)
    try:
        async with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            await connection.run_sync(_run_scripts, migrations)
    finally:
        await engine.dispose()


def _run_scripts(connection: Connection, migrations: Migrations) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _alembic_config(connection, migrations)
    _refuse_newer(connection, ScriptDirectory.from_config(config), migrations)
    command.upgrade(config, "head")


def _alembic_config(connection: Connection, migrations: Migrations) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _escaped(_SCRIPTS))
    config.set_main_option("version_locations", _escaped(migrations.folder))
    config.set_main_option("path_separator", "newline")  # a colon may be part of a folder's name
    config.attributes.update(connection=connection, version_table=migrations.version_table)
    return config


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")


def _refuse_newer(connection: Connection, scripts: "ScriptDirectory", migrations: Migrations) -> None:
    from alembic.migration import MigrationContext

    known = {script.revision for script in scripts.walk_revisions()}
    unknown = (
        set(
            MigrationContext.configure(connection, opts={"version_table": migrations.version_table}).get_current_heads()
        )
        - known
    )
    if unknown:
        raise DatabaseTooNew(
            f"The database is at revision {', '.join(sorted(unknown))}, which this version of Twinport does not know. "
            "Start the newer version again, or restore a backup that this version made."
        )


if __name__ == "__main__":
    sys.exit(main())
