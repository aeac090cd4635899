"""Catalogues to test on: a migrated SQLite file per test, and databases on a PostgreSQL server if one is installed."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.database.migrate import upgrade
from tools_api.db import MIGRATIONS, Database


def catalogue_url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'tools.db'}"


@pytest.fixture(scope="session")
def migrated_catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate an SQLite file once; the tests work on copies."""
    folder = tmp_path_factory.mktemp("migrated_catalogue")
    upgrade(catalogue_url(folder), MIGRATIONS)
    return folder / "tools.db"


@pytest.fixture
async def catalogue(tmp_path: Path, migrated_catalogue: Path) -> AsyncIterator[Database]:
    shutil.copy2(migrated_catalogue, tmp_path)
    database = Database(catalogue_url(tmp_path))
    yield database
    await database.aclose()


@pytest.fixture
async def postgres_catalogue(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url)
    await database.migrate()
    yield database
    await database.aclose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def any_catalogue(request: pytest.FixtureRequest) -> Database:
    """A migrated catalogue of each kind; the test runs once on each."""
    database: Database = request.getfixturevalue("catalogue" if request.param == "sqlite" else "postgres_catalogue")
    return database
