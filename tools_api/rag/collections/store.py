"""The SQL of collections and grants. Each function works in the session that it is given and commits nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import sqlalchemy
from sqlalchemy import ColumnElement, and_, delete, func, or_, text, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from tools_api.rag.collections.values import EVERYBODY, Collection, Contents, Grant, Role
from tools_api.rag.tables import RagCollection, RagDocument, RagGrant
from tools_api.rag.values import IndexType, Owner

_RUNNING = ("parsing", "embedding", "indexing")
_RANK: dict[Role, int] = {"reader": 0, "writer": 1, "owner": 2}
_OWNERS_LOCK = 7_494_190_116  # any number but the migrations'; the same in every process


async def visible(
    db: AsyncSession,
    owner: Owner,
    *,
    ids: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> list[Collection]:
    """Return the collections that a person reaches, newest first: of these ids or names, or all if both are None."""
    which = [] if ids is None and names is None else [_named(ids or (), names or ())]
    rows = await db.exec(
        select(RagCollection, RagGrant)
        .outerjoin(
            RagGrant,
            and_(
                col(RagGrant.collection_id) == col(RagCollection.id),
                col(RagGrant.person).in_([owner.person, EVERYBODY]),
            ),
        )
        .where(
            RagCollection.service == owner.service,
            RagCollection.state == "active",
            or_(col(RagCollection.person) == owner.person, col(RagGrant.collection_id).is_not(None)),
            *which,
        )
        .order_by(col(RagCollection.created_at).desc(), col(RagCollection.id).desc())
    )
    best: dict[str, Collection] = {}
    for record, grant in cast("Sequence[tuple[RagCollection, RagGrant | None]]", rows.all()):
        role = _role(record, grant, owner)
        known = best.get(record.id)
        if known is None or _RANK[role] > _RANK[known.role]:
            best[record.id] = _collection(record, role)
    return list(best.values())


async def lock_owners(db: AsyncSession) -> None:
    """Let one transaction at a time count and add collections; SQLite has one writer at a time anyway."""
    connection = await db.connection()
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _OWNERS_LOCK})


async def count_of_owner(db: AsyncSession, owner: Owner) -> int:
    statement = select(func.count()).where(*_owned(owner), col(RagCollection.state) == "active")
    return (await db.exec(statement)).one()


async def name_is_taken(db: AsyncSession, owner: Owner, name: str, *, by_other_than: str = "") -> bool:
    statement = select(RagCollection.id).where(
        *_owned(owner), col(RagCollection.name) == name, col(RagCollection.id) != by_other_than
    )
    return (await db.exec(statement)).first() is not None


async def add(db: AsyncSession, record: RagCollection) -> Collection:
    db.add(record)
    await db.flush()
    return _collection(record, "owner")


async def change(db: AsyncSession, collection_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns of a collection that is there."""
    statement = update(RagCollection).where(col(RagCollection.id) == collection_id, _active()).values(**changes)
    await (await db.connection()).execute(statement)


async def activate(db: AsyncSession, collection_id: str, columns: Mapping[str, Any]) -> None:
    """Let a collection that nobody reached be reached."""
    statement = update(RagCollection).where(col(RagCollection.id) == collection_id)
    await (await db.connection()).execute(statement.values(**columns, state="active"))


async def mark_deleting(db: AsyncSession, collection_id: str, now: datetime) -> None:
    """Take a collection from everybody, and free its name: the id is one that nobody can give."""
    await change(db, collection_id, {"state": "deleting", "name": collection_id, "updated_at": now})


async def deleting(db: AsyncSession) -> Sequence[str]:
    """Return the ids of the collections whose removal has begun."""
    return (await db.exec(select(RagCollection.id).where(RagCollection.state == "deleting"))).all()


async def remove(db: AsyncSession, collection_id: str) -> None:
    """Forget a collection; its grants, jobs and documents go with it by their foreign keys."""
    await (await db.connection()).execute(delete(RagCollection).where(col(RagCollection.id) == collection_id))


async def contents(db: AsyncSession, collection_ids: Sequence[str]) -> dict[str, Contents]:
    """Return what is in each of these collections, by the catalogue."""
    statement = (
        sqlalchemy.select(
            col(RagDocument.collection_id),
            func.count(),
            _how_many(col(RagDocument.state) == "indexed"),
            _how_many(col(RagDocument.state) == "queued"),
            _how_many(col(RagDocument.state).in_(_RUNNING)),
            _how_many(col(RagDocument.state) == "failed"),
            _sum(col(RagDocument.chunks)),
            _sum(col(RagDocument.size)),
        )
        .where(col(RagDocument.collection_id).in_(collection_ids), col(RagDocument.state) != "deleting")
        .group_by(col(RagDocument.collection_id))
    )
    rows = (await (await db.connection()).execute(statement)).all()
    return {row[0]: Contents(*(int(value) for value in row[1:])) for row in rows}


async def grants(db: AsyncSession, collection_id: str) -> list[Grant]:
    statement = select(RagGrant).where(RagGrant.collection_id == collection_id).order_by(col(RagGrant.person))
    return [_grant(record) for record in (await db.exec(statement)).all()]


async def put_grant(db: AsyncSession, collection_id: str, grant: Grant, now: datetime) -> None:
    """Give a grant, in the place of an earlier one to the same person."""
    await remove_grant(db, collection_id, grant.person)
    db.add(RagGrant(collection_id=collection_id, person=grant.person, role=grant.role, created_at=now))
    await db.flush()


async def remove_grant(db: AsyncSession, collection_id: str, person: str) -> bool:
    """Take a grant back, and say whether there was one."""
    which = delete(RagGrant).where(col(RagGrant.collection_id) == collection_id, col(RagGrant.person) == person)
    return (await (await db.connection()).execute(which)).rowcount > 0


def _owned(owner: Owner) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return col(RagCollection.service) == owner.service, col(RagCollection.person) == owner.person


def _active() -> ColumnElement[bool]:
    return col(RagCollection.state) == "active"


def _named(ids: Sequence[str], names: Sequence[str]) -> ColumnElement[bool]:
    return or_(col(RagCollection.id).in_(ids), col(RagCollection.name).in_(names))


def _how_many(which: ColumnElement[bool]) -> Any:
    return func.count().filter(which)


def _sum(column: Any) -> Any:
    """Add up what is kept once for documents of the same content."""
    return func.coalesce(func.sum(column).filter(col(RagDocument.duplicate_of).is_(None)), 0)


def _role(record: RagCollection, grant: RagGrant | None, owner: Owner) -> Role:
    if record.person == owner.person:
        return "owner"
    return "writer" if grant is not None and grant.role == "writer" else "reader"


def _grant(record: RagGrant) -> Grant:
    return Grant(record.person, "writer" if record.role == "writer" else "reader")


def _collection(record: RagCollection, role: Role) -> Collection:
    return Collection(
        id=record.id,
        owner=Owner(record.service, record.person),
        name=record.name,
        role=role,
        index_type=cast("IndexType", record.index_type),
        chunk_tokens=record.chunk_tokens,
        created_at=record.created_at,
        updated_at=record.updated_at,
        description=record.description,
        metadata=record.attributes,
        model=record.embedding_model,
        fingerprint=record.embedding_fingerprint,
        dimensions=record.dimensions,
        generation=record.generation,
    )
