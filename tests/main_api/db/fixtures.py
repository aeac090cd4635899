"""Databases to test on: a migrated SQLite file per test, and a PostgreSQL server of our own where one is installed."""

import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from main_api.db import Database
from main_api.db.migrate import upgrade

# Debian keeps the server's programs off PATH
_POSTGRES_FOLDERS = [*map(str, Path("/usr/lib/postgresql").glob("*/bin")), os.environ.get("PATH", "")]


def sqlite_url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'twinport.db'}"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate an SQLite file once; the tests work on copies."""
    folder = tmp_path_factory.mktemp("migrated")
    upgrade(sqlite_url(folder))
    return folder / "twinport.db"


@pytest.fixture
async def db(tmp_path: Path, migrated_file: Path) -> AsyncIterator[Database]:
    shutil.copy2(migrated_file, tmp_path)
    database = Database(sqlite_url(tmp_path))
    yield database
    await database.aclose()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a PostgreSQL server on a free port; yields the URL without a database's name."""
    initdb, postgres = (shutil.which(name, path=":".join(_POSTGRES_FOLDERS)) for name in ("initdb", "postgres"))
    if not initdb or not postgres:
        pytest.skip("no PostgreSQL on this machine")
    folder = tmp_path_factory.mktemp("postgres")
    account = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        account = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(folder, "nobody")
        for parent in (folder, *folder.parents):
            if str(parent).startswith("/tmp/"):
                parent.chmod(parent.stat().st_mode | 0o011)
    data = folder / "data"
    subprocess.run(
        [initdb, "-D", data, "-U", "twinport", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True, capture_output=True, cwd=folder, **account,
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [postgres, "-D", data, "-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
            cwd=folder, stdout=log, stderr=log, **account,
        )  # fmt: skip
    try:
        yield f"postgresql+asyncpg://twinport@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
async def postgres_url(postgres_server: str) -> str:
    """Return the URL of a fresh, empty database."""
    import asyncio

    import asyncpg

    plain = postgres_server.replace("+asyncpg", "")
    for _ in range(200):
        try:
            connection = await asyncpg.connect(f"{plain}/postgres")
            break
        except (OSError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(0.05)
    else:
        pytest.fail("PostgreSQL did not start")
    name = f"t{uuid4().hex}"
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return f"{postgres_server}/{name}"


@pytest.fixture
async def postgres_db(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url)
    await database.migrate()
    yield database
    await database.aclose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def any_db(request: pytest.FixtureRequest) -> Database:
    """A migrated database of each kind; the test runs once on each."""
    database: Database = request.getfixturevalue("db" if request.param == "sqlite" else "postgres_db")
    return database
