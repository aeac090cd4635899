"""A world of documents."""

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.tools_api.db.fixtures import catalogue_url
from tests.tools_api.rag.ingestion.harness import World
from tools_api.db import Database


@pytest.fixture
async def world(tmp_path: Path, migrated_catalogue: Path) -> AsyncGenerator[World]:
    shutil.copy2(migrated_catalogue, tmp_path)
    database = Database(catalogue_url(tmp_path))
    yield World(tmp_path, database)
    await database.aclose()
