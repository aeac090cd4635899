"""Databases to test on: a migrated SQLite file per test, and a PostgreSQL server of our own where one is installed."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from main_api.db import MIGRATIONS, Database
from shared.database.migrate import upgrade

# Debian keeps the server's programs off PATH
_POSTGRES_FOLDERS = [*map(str, Path("/usr/lib/postgresql").glob("*/bin")), os.environ.get("PATH", "")]


def sqlite_url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'twinport.db'}"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate an SQLite file once; the tests work on copies."""
    folder = tmp_path_factory.mktemp("migrated")
    upgrade(sqlite_url(folder), MIGRATIONS)
    return folder / "twinport.db"


@pytest.fixture
async def db(tmp_path: Path, migrated_file: Path) -> AsyncIterator[Database]:
    shutil.copy2(migrated_file, tmp_path)
    database = Database(sqlite_url(tmp_path))
    yield database
    await database.aclose()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start a PostgreSQL server on a free port; yields the URL without a database's name.

    Its folder is not one of pytest's: every other run that begins closes those to who owns this one.
    """
    initdb, postgres = (shutil.which(name, path=":".join(_POSTGRES_FOLDERS)) for name in ("initdb", "postgres"))
    if not initdb or not postgres:
        pytest.skip("no PostgreSQL on this machine")
    with tempfile.TemporaryDirectory(prefix="twinport-postgres-") as name:
        folder = Path(name)
        account = _account_for(folder)
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", data, "-U", "twinport", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **account,
        )  # fmt: skip
        arguments = [postgres, "-D", data, "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        for _ in range(5):  # another program may take the port first
            port = _free_port()
            with (folder / "log").open("ab") as log:
                server = subprocess.Popen([*arguments, "-p", str(port)], cwd=folder, stdout=log, stderr=log, **account)
            if _answers(server, port):
                break
        else:
            pytest.fail((folder / "log").read_text())
        try:
            yield f"postgresql+asyncpg://twinport@127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def _account_for(folder: Path) -> dict[str, Any]:
    """Return Popen's arguments for running as somebody who owns `folder` and is not root: the server insists."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(folder, "nobody")
    return {"user": "nobody", "group": "nogroup", "extra_groups": []}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _answers(server: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


@pytest.fixture
async def postgres_url(postgres_server: str) -> str:
    """Return the URL of a fresh, empty database."""
    return await _new_database(postgres_server)


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> str:
    """Migrate a database once; the tests work on copies. Returns its name."""
    url = asyncio.run(_new_database(postgres_server))
    upgrade(url, MIGRATIONS)
    return url.rpartition("/")[2]


async def _new_database(server: str, *, like: str = "template1") -> str:
    async with asyncio.timeout(60):
        connection = await _connect(f"{server.replace('+asyncpg', '')}/postgres")
    name = f"t{uuid4().hex}"
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {like}")
    await connection.close()
    return f"{server}/{name}"


async def _connect(url: str) -> asyncpg.Connection:
    while True:
        try:
            return await asyncpg.connect(url)
        except asyncpg.CannotConnectNowError:  # it listens a moment before it is ready
            await asyncio.sleep(0.02)


@pytest.fixture
async def postgres_db(postgres_server: str, migrated_postgres: str) -> AsyncIterator[Database]:
    database = Database(await _new_database(postgres_server, like=migrated_postgres))
    yield database
    await database.aclose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def any_db(request: pytest.FixtureRequest) -> Database:
    """A migrated database of each kind; the test runs once on each."""
    database: Database = request.getfixturevalue("db" if request.param == "sqlite" else "postgres_db")
    return database
