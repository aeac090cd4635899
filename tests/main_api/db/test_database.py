"""`Database` under many writers, long readers, full disks, lost servers and `kill -9`."""

import asyncio
import os
import signal
import sqlite3
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from main_api.auth.tables import User
from main_api.db import Database
from shared.errors import StorageFull, Unavailable
from tests.main_api.db.fixtures import sqlite_url


def user(name: str) -> User:
    return User(username=name, username_key=name, password_hash="x", role="user", created_at=datetime.now(UTC))


async def count_users(db: Database) -> int:
    async with db.session() as session:
        return (await session.exec(select(func.count()).select_from(User))).one()


async def test_a_transaction_commits_at_its_end(any_db: Database) -> None:
    async with any_db.transaction() as session:
        session.add(user("ada"))
    assert await count_users(any_db) == 1


async def test_a_transaction_that_raises_leaves_nothing(any_db: Database) -> None:
    async def fail() -> None:
        async with any_db.transaction() as session:
            session.add(user("ada"))
            await session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await count_users(any_db) == 0


async def test_times_come_back_aware_and_in_utc(any_db: Database) -> None:
    async with any_db.transaction() as session:
        session.add(user("ada"))
    async with any_db.session() as session:
        created_at = (await session.exec(select(User.created_at))).one()
    assert created_at.tzinfo is UTC
    assert abs((datetime.now(UTC) - created_at).total_seconds()) < 60


async def test_sqlite_runs_with_the_documented_pragmas(db: Database) -> None:
    expected = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 30_000}
    async with db.session() as session:
        actual = {
            name: (await (await session.connection()).execute(text(f"PRAGMA {name}"))).scalar_one() for name in expected
        }
    assert actual == expected


async def test_the_file_is_for_our_eyes_only(db: Database, tmp_path: Path) -> None:
    async with db.transaction() as session:
        session.add(user("ada"))
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("twinport.db*") if path.suffix != ".lock"
    }
    assert "twinport.db-wal" in modes
    assert set(modes.values()) == {0o600}


async def test_fifty_writers_beside_a_long_reader_are_never_told_that_the_database_is_locked(any_db: Database) -> None:
    async with any_db.session() as reader:
        before = (await reader.exec(select(func.count()).select_from(User))).one()

        async def write(number: int) -> None:
            async with any_db.transaction() as session:
                session.add(user(f"user{number}"))

        await asyncio.gather(*(write(number) for number in range(50)))
        seen_by_reader = (await reader.exec(select(func.count()).select_from(User))).one()
    assert before == 0
    assert seen_by_reader in {0, 50}  # SQLite keeps the snapshot, PostgreSQL reads committed rows
    assert await count_users(any_db) == 50


async def test_writers_of_two_connections_pools_wait_for_each_other(db: Database, tmp_path: Path) -> None:
    other = Database(sqlite_url(tmp_path))

    async def write(database: Database, number: int) -> None:
        async with database.transaction() as session:
            session.add(user(f"user{number}"))

    await asyncio.gather(*(write((db, other)[number % 2], number) for number in range(20)))
    assert await count_users(db) == 20
    await other.aclose()


async def test_a_cancelled_transaction_leaves_nothing_and_blocks_nobody(any_db: Database) -> None:
    async def write_forever() -> None:
        async with any_db.transaction() as session:
            session.add(user("ghost"))
            await session.flush()
            await asyncio.Event().wait()

    for _ in range(20):
        task = asyncio.create_task(write_forever())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with any_db.transaction() as session:
        session.add(user("ada"))
    assert await count_users(any_db) == 1


async def test_a_broken_constraint_is_left_to_the_store(any_db: Database) -> None:
    with pytest.raises(IntegrityError):
        async with any_db.transaction() as session:
            session.add_all([user("ada"), user("ada")])


async def test_numbers_of_deleted_accounts_are_never_given_again(any_db: Database) -> None:
    numbers: list[int | None] = []
    for _ in range(2):
        async with any_db.transaction() as session:
            row = user("ada")
            session.add(row)
            await session.flush()
            numbers.append(row.id)
            await session.delete(row)
    assert numbers[1] is not None
    assert numbers[0] is not None
    assert numbers[1] > numbers[0]


async def test_a_full_disk_is_storage_full_and_reading_goes_on(db: Database) -> None:
    async with db.transaction() as session:
        session.add(user("ada"))

    async def fill() -> None:
        async with db.transaction() as session:
            # as if no page could be had from the disk
            await (await session.connection()).execute(text("PRAGMA max_page_count = 1"))
            session.add_all([user(f"user{number}".ljust(60, "x")) for number in range(5000)])

    with pytest.raises(StorageFull):
        await fill()
    assert await count_users(db) == 1


async def test_a_file_locked_by_another_program_is_unavailable(db: Database, tmp_path: Path) -> None:
    locker = sqlite3.connect(tmp_path / "twinport.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    async with db.session() as session:
        await (await session.connection()).execute(
            text("PRAGMA busy_timeout = 50")
        )  # on the one pooled connection: don't wait half a minute
    with pytest.raises(Unavailable):
        async with db.transaction() as session:
            session.add(user("ada"))
    locker.close()


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    database = Database("postgresql+asyncpg://nobody@127.0.0.1:9/none")
    with pytest.raises(Unavailable):
        await database.ping()
    await database.aclose()


async def test_ping_succeeds_on_a_migrated_database(any_db: Database) -> None:
    await any_db.ping()


def test_an_in_memory_database_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a file"):
        Database("sqlite+aiosqlite://")


_WRITER = """
import asyncio, sys
from main_api.db import Database
from tests.main_api.db.test_database import user
async def main():
    db = Database(sys.argv[1])
    for number in range(100_000):
        name = f"{sys.argv[2]}-{number}"
        async with db.transaction() as session:
            session.add(user(name))
        print(name, flush=True)
asyncio.run(main())
"""


@pytest.mark.slow
async def test_every_acknowledged_write_survives_kill_9(db: Database, tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    for cycle in range(6):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _WRITER, sqlite_url(tmp_path), str(cycle),
            stdout=asyncio.subprocess.PIPE, limit=2**24,
        )  # fmt: skip
        assert child.stdout is not None
        acknowledged.add((await child.stdout.readline()).decode().strip())
        await asyncio.sleep(0.05 + 0.03 * cycle)
        os.kill(child.pid, signal.SIGKILL)
        acknowledged |= set((await child.stdout.read()).decode().split("\n")[:-1])
        await child.wait()
    async with db.session() as session:
        stored = set((await session.exec(select(User.username))).all())
        check = (await (await session.connection()).execute(text("PRAGMA integrity_check"))).scalar_one()
    assert check == "ok"
    assert len(acknowledged) > 6
    assert acknowledged <= stored
