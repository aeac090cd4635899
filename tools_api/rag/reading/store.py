"""The SQL that finds documents by what people call them. Reads only."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from tools_api.rag.reading.values import Named
from tools_api.rag.tables import RagDocument


async def called(db: AsyncSession, collection_ids: Sequence[str], name: str, *, limit: int) -> list[Named]:
    """Return searchable documents with this id or name, then those with the name in other case or below a folder."""
    exact = or_(col(RagDocument.id) == name, col(RagDocument.name) == name)
    found = await _searchable(db, collection_ids, exact, limit)
    if found:
        return found
    lowered = func.lower(col(RagDocument.name))
    below = lowered.like(f"%/{_literal(name.lower())}", escape="\\")
    return await _searchable(db, collection_ids, or_(lowered == name.lower(), below), limit)


async def names_in(db: AsyncSession, collection_id: str, *, limit: int) -> list[Named]:
    """Return up to `limit` searchable documents of a collection, in the order of their names."""
    return await _searchable(db, [collection_id], None, limit)


async def unfinished(db: AsyncSession, collection_ids: Sequence[str]) -> int:
    """Count the documents that wait to be made searchable, or are being made so."""
    states = ("queued", "parsing", "embedding", "indexing")
    statement = select(func.count()).where(
        col(RagDocument.collection_id).in_(collection_ids), col(RagDocument.state).in_(states)
    )
    return (await db.exec(statement)).one()


async def _searchable(
    db: AsyncSession, collection_ids: Sequence[str], which: ColumnElement[bool] | None, limit: int
) -> list[Named]:
    statement = select(RagDocument).where(
        col(RagDocument.collection_id).in_(collection_ids),
        col(RagDocument.indexed_sha256).is_not(None),
        RagDocument.state != "deleting",
    )
    if which is not None:
        statement = statement.where(which)
    rows = (await db.exec(statement.order_by(col(RagDocument.name), col(RagDocument.id)).limit(limit))).all()
    return [
        Named(row.collection_id, row.duplicate_of or row.id, row.name, row.media_type, row.pages, row.chunks)
        for row in rows
    ]


def _literal(text: str) -> str:
    """Return text in which LIKE finds no wildcard."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
