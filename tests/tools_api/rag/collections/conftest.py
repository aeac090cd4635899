"""A catalogue without the rest of retrieval."""

import pytest

from tests.tools_api.rag.encoders import NamedEncoder
from tools_api.db import Database
from tools_api.rag.collections.access import Access
from tools_api.rag.collections.service import CollectionDefaults, CollectionService


@pytest.fixture
def database(any_catalogue: Database) -> Database:
    """SQLite, and PostgreSQL where it is installed."""
    return any_catalogue


@pytest.fixture
def encoder() -> NamedEncoder:
    return NamedEncoder("model-1")


@pytest.fixture
def access(database: Database) -> Access:
    return Access(database)


@pytest.fixture
def removed() -> list[str]:
    """The collections whose content was removed."""
    return []


@pytest.fixture
def collections(database: Database, access: Access, encoder: NamedEncoder, removed: list[str]) -> CollectionService:
    async def remove(collection_id: str) -> None:
        removed.append(collection_id)

    return CollectionService(database, access, encoder, defaults=CollectionDefaults(per_owner=5), removals=[remove])
