"""The catalogue's migrations agree with its tables, and live beside the main API's in one PostgreSQL."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

import main_api.db
from shared.database.engine import make_engine
from tests.tools_api.db.fixtures import catalogue_url
from tools_api.db import MIGRATIONS, Database, Record
from tools_api.rag import tables


def _differences(connection: Connection) -> list[object]:
    options = {
        "compare_type": True,
        "compare_server_default": True,
        "version_table": MIGRATIONS.version_table,
        "include_name": lambda name, kind, _parents: kind != "table" or name.startswith("rag_"),
    }
    return compare_metadata(MigrationContext.configure(connection, opts=options), Record.metadata)


async def _differences_at(url: str) -> list[object]:
    assert tables.RagDocument.__tablename__ in Record.metadata.tables
    engine = make_engine(url)
    async with engine.connect() as connection:
        differences = await connection.run_sync(_differences)
    await engine.dispose()
    return differences


async def test_migrations_and_tables_agree_on_sqlite(catalogue: Database, tmp_path: Path) -> None:
    assert await _differences_at(catalogue_url(tmp_path)) == []


async def test_a_missing_index_is_a_difference(catalogue: Database, tmp_path: Path) -> None:
    """The comparison above can fail."""
    with closing(sqlite3.connect(tmp_path / "tools.db")) as connection:
        connection.execute("DROP INDEX ix_rag_document_state")
    assert await _differences_at(catalogue_url(tmp_path)) != []


async def test_a_migrated_catalogue_is_not_migrated_again(catalogue: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent")  # what would start the child that upgrades
    await catalogue.migrate()


@pytest.mark.slow
async def test_both_processes_keep_their_tables_in_one_postgres(postgres_url: str) -> None:
    ours, theirs = Database(postgres_url), main_api.db.Database(postgres_url)
    for database in (ours, theirs, ours):
        await database.migrate()
    for database in (ours, theirs):
        await database.ping()
        await database.aclose()
    assert await _differences_at(postgres_url) == []
