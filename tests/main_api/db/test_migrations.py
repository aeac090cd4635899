"""Migrations agree with the tables, take turns, survive a kill, and never touch a database newer than the code."""

import asyncio
import importlib
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

import main_api
from main_api.db import Database, DatabaseTooNew, Record
from shared.database.engine import make_engine
from tests.main_api.db.fixtures import sqlite_url

_MAIN_API = Path(main_api.__file__).parent


@pytest.fixture(autouse=True, scope="module")
def _every_table() -> None:
    """Load the tables of every slice into the metadata."""
    for path in _MAIN_API.glob("*/tables.py"):
        importlib.import_module(f"main_api.{path.parent.name}.tables")
    assert {"users", "api_keys", "usage"} <= set(Record.metadata.tables)


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return compare_metadata(context, Record.metadata)


async def _differences_at(url: str) -> list[object]:
    engine = make_engine(url)
    async with engine.connect() as connection:
        differences = await connection.run_sync(_differences)
    await engine.dispose()
    return differences


async def test_migrations_and_tables_agree_on_sqlite(db: Database, tmp_path: Path) -> None:
    assert await _differences_at(sqlite_url(tmp_path)) == []


@pytest.mark.slow
async def test_migrations_and_tables_agree_on_postgres(postgres_url: str) -> None:
    database = Database(postgres_url)
    await database.migrate()
    await database.aclose()
    assert await _differences_at(postgres_url) == []


async def test_a_missing_table_is_a_difference(db: Database, tmp_path: Path) -> None:
    """The comparison above can fail."""
    with closing(sqlite3.connect(tmp_path / "twinport.db")) as connection:
        connection.execute("DROP TABLE usage")
    assert await _differences_at(sqlite_url(tmp_path)) != []


async def test_migrating_again_changes_nothing(db: Database, tmp_path: Path) -> None:
    before = _schema(tmp_path / "twinport.db")
    await db.migrate()
    assert _schema(tmp_path / "twinport.db") == before


@pytest.mark.slow
async def test_a_database_newer_than_the_code_is_refused_and_left_alone(db: Database, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "twinport.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = _schema(tmp_path / "twinport.db")
    with pytest.raises(DatabaseTooNew, match=r"9999.*newer version"):
        await db.migrate()
    assert _schema(tmp_path / "twinport.db") == before


@pytest.mark.slow
async def test_migrating_does_not_hold_up_the_event_loop(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    turns = 0

    async def watch() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.005)
            turns += 1

    await database.migrate()
    (tmp_path / "twinport.db").unlink()
    watcher = asyncio.create_task(watch())
    await database.migrate()
    watcher.cancel()
    await database.aclose()
    assert turns > 10, "it goes on while the scripts run"


async def _migrating_process(url: str) -> asyncio.subprocess.Process:
    program = (
        "import asyncio, sys\nfrom main_api.db import Database\n"
        "import shared.database.migrate\nprint('ready', flush=True)\n"
        "asyncio.run(Database(sys.argv[1]).migrate())"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def _all_succeed_together(url: str) -> None:
    processes = await asyncio.gather(*(_migrating_process(url) for _ in range(3)))
    for process in processes:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    assert await _differences_at(url) == []


@pytest.mark.slow
async def test_processes_that_migrate_one_sqlite_file_at_once_all_succeed(tmp_path: Path) -> None:
    await _all_succeed_together(sqlite_url(tmp_path))


@pytest.mark.slow
async def test_processes_that_migrate_one_postgres_at_once_all_succeed(postgres_url: str) -> None:
    await _all_succeed_together(postgres_url)


@pytest.mark.slow
async def test_a_migration_killed_at_any_moment_succeeds_when_run_again(tmp_path: Path) -> None:
    for delay_ms in (0, 150, 300, 450, 550, 600, 650, 700, 800):
        folder = tmp_path / str(delay_ms)
        process = await _migrating_process(sqlite_url(folder))
        await asyncio.sleep(delay_ms / 1000)
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # the child that does the work too
        await process.communicate()
        tables = len(_schema(folder / "twinport.db")) if (folder / "twinport.db").exists() else 0
        database = Database(sqlite_url(folder))
        await database.migrate()
        await database.aclose()
        assert await _differences_at(sqlite_url(folder)) == []
        assert tables in {0, len(_schema(folder / "twinport.db"))}, "a killed migration left half of the tables"


async def test_a_migration_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    engine = make_engine(sqlite_url(tmp_path)).execution_options(write=True)

    async def fail_half_way() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE half (id INTEGER)"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_half_way()
    await engine.dispose()
    assert _schema(tmp_path / "twinport.db") == []


def _schema(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
