"""A catalogue in a file."""

import shutil
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tools_api.db.fixtures import catalogue_url
from tests.tools_api.rag.documents.idle import Idle
from tools_api.db import Database
from tools_api.rag.documents.intake import Archives
from tools_api.rag.documents.values import Limits

MakeIdle = Callable[..., Idle]


@pytest.fixture
async def idle(tmp_path: Path, migrated_catalogue: Path) -> AsyncGenerator[MakeIdle]:
    shutil.copy2(migrated_catalogue, tmp_path)
    database = Database(catalogue_url(tmp_path))

    def make(archives: Archives | None = None, **limits: Any) -> Idle:
        return Idle(tmp_path, database, Limits(**limits), archives)

    yield make
    await database.aclose()
