"""The SQL of the queue of documents. Each function works in the session that it is given and commits nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, and_, func, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from tools_api.embeddings.protocol import EncoderModel
from tools_api.rag.documents.values import UNFINISHED, DocumentState
from tools_api.rag.ingestion.values import Batch, Done, Work
from tools_api.rag.tables import RagCollection, RagDocument, RagJob
from tools_api.rag.values import IndexType, Owner, ParseFailure

_MAX_ATTEMPTS = 5
"""Batches that a document may be in without an end before it is given up: what it does to us is not worth more. They
are counted anew whenever somebody queues it."""
_SUSPECT_AFTER = 3
"""Batches without an end after which a document is worked on alone: it may be the one that breaks them."""
_APART = ("deleting", "cancelled")
"""States of copies that stay as they are whatever becomes of the original."""


async def waiting_owners(db: AsyncSession, held: Sequence[str]) -> list[Owner]:
    """Return who has documents in the queue, those first that wait longest. `held` collections don't count."""
    statement = (
        select(RagJob.service, RagJob.person)
        .select_from(RagDocument)
        .join(RagJob, col(RagJob.id) == col(RagDocument.job_id))
        .join(RagCollection, col(RagCollection.id) == col(RagDocument.collection_id))
        .where(*_waiting(held))
        .group_by(col(RagJob.service), col(RagJob.person))
        .order_by(func.min(RagDocument.updated_at))
    )
    return [Owner(service, person) for service, person in (await db.exec(statement)).all()]


async def claim(
    db: AsyncSession, owner: Owner, held: Sequence[str], *, batch_id: str, files: int, size: int, now: datetime
) -> Batch | None:
    """Take up to `files` documents of `size` bytes together out of the queue: one person's, of one collection."""
    statement = (
        select(RagDocument)
        .join(RagJob, col(RagJob.id) == col(RagDocument.job_id))
        .join(RagCollection, col(RagCollection.id) == col(RagDocument.collection_id))
        .where(*_waiting(held), RagJob.service == owner.service, RagJob.person == owner.person)
        .order_by(col(RagDocument.updated_at), col(RagDocument.id))
    )
    first = (await db.exec(statement.limit(1))).first()
    if first is None:
        return None
    same = statement.where(RagDocument.collection_id == first.collection_id).limit(files)
    chosen = _within(list((await db.exec(same)).all()), size)
    for row in chosen:
        row.state, row.percent, row.batch_id, row.updated_at = "parsing", 0, batch_id, now
        row.attempts += 1
    await db.flush()
    await _begin_jobs(db, {row.job_id for row in chosen if row.job_id}, now)
    collection = await db.get(RagCollection, first.collection_id)
    return None if collection is None else _batch(batch_id, collection, chosen)


async def batch(db: AsyncSession, batch_id: str) -> Batch | None:
    """Return what is left to do of a batch; None if nothing is."""
    rows = (await db.exec(_of_batch(batch_id).order_by(col(RagDocument.updated_at), col(RagDocument.id)))).all()
    if not rows:
        return None
    collection = await db.get(RagCollection, rows[0].collection_id)
    if collection is None or collection.state != "active":
        return None
    return _batch(batch_id, collection, rows)


async def batches(db: AsyncSession) -> Sequence[str]:
    """Return the batches that documents are in."""
    statement = select(RagDocument.batch_id).where(col(RagDocument.batch_id).is_not(None)).distinct()
    return [one for one in (await db.exec(statement)).all() if one is not None]


async def unfinished(db: AsyncSession) -> Sequence[str]:
    """Return the documents that wait or are worked on."""
    return (await db.exec(select(RagDocument.id).where(col(RagDocument.state).in_(UNFINISHED)))).all()


async def release(db: AsyncSession, batch_id: str, now: datetime, *, blameless: bool) -> tuple[list[str], set[str]]:
    """Put what is left of a batch back into the queue; `blameless` if its documents have no part in its end.

    Those that were in too many batches fail instead. Return the documents and their jobs.
    """
    rows = (await db.exec(_of_batch(batch_id))).all()
    for row in rows:
        row.batch_id, row.updated_at = None, now
        row.attempts -= 1 if blameless else 0
        if blameless or row.attempts < _MAX_ATTEMPTS:
            row.state, row.percent = "queued", 0
        else:
            gave_up = ParseFailure(code="gave_up", message="Working on it broke off again and again.", retryable=True)
            _fail(row, gave_up, now)
    await db.flush()
    return [row.id for row in rows], await _mirror(db, rows, now)


async def set_state(db: AsyncSession, batch_id: str, ids: Sequence[str], state: DocumentState, now: datetime) -> None:
    """Say how far documents of a batch are, and those that have their content."""
    mine = and_(col(RagDocument.id).in_(ids), col(RagDocument.batch_id) == batch_id)
    theirs = and_(col(RagDocument.duplicate_of).in_(ids), col(RagDocument.state).not_in(_APART))
    statement = update(RagDocument).where(or_(mine, theirs)).values(state=state, updated_at=now)
    await (await db.connection()).execute(statement)


async def fail(db: AsyncSession, batch_id: str, failures: Mapping[str, ParseFailure], now: datetime) -> set[str]:
    """Mark documents of a batch as failed; return the jobs that this concerns."""
    rows = await _rows_of(db, batch_id, list(failures))
    for row in rows:
        _fail(row, failures[row.id], now)
    await db.flush()
    return await _mirror(db, rows, now)


async def finish(db: AsyncSession, batch_id: str, done: Sequence[Done], now: datetime) -> tuple[set[str], set[str]]:
    """Mark documents of a batch as indexed; return their ids and the jobs that this concerns."""
    by_id = {one.id: one for one in done}
    rows = await _rows_of(db, batch_id, list(by_id))
    for row in rows:
        one = by_id[row.id]
        row.state, row.percent, row.batch_id, row.updated_at = "indexed", 100, None, now
        row.error_code = row.error_message = None
        row.retryable = False
        row.media_type, row.pages, row.chunks = one.media_type, one.pages, one.chunks
        row.indexed_sha256 = row.sha256
    await db.flush()
    return {row.id for row in rows}, await _mirror(db, rows, now)


async def set_model(
    db: AsyncSession, collection_id: str, *, model: EncoderModel, now: datetime, next_generation: bool = False
) -> None:
    """Write down of which model a collection's vectors are."""
    changes: dict[str, Any] = {
        "embedding_model": model.name[:200],
        "embedding_fingerprint": model.fingerprint,
        "dimensions": model.dimensions,
    }
    if next_generation:
        changes["generation"] = RagCollection.generation + 1
    statement = update(RagCollection).where(col(RagCollection.id) == collection_id)
    await (await db.connection()).execute(statement.values(updated_at=now, **changes))


def _waiting(held: Sequence[str]) -> list[ColumnElement[bool]]:
    return [
        col(RagDocument.state) == "queued",
        col(RagDocument.batch_id).is_(None),
        col(RagDocument.duplicate_of).is_(None),
        col(RagCollection.state) == "active",
        col(RagDocument.collection_id).not_in(held),
    ]


def _of_batch(batch_id: str) -> SelectOfScalar[RagDocument]:
    return select(RagDocument).where(RagDocument.batch_id == batch_id, col(RagDocument.state).in_(UNFINISHED))


async def _rows_of(db: AsyncSession, batch_id: str, ids: Sequence[str]) -> Sequence[RagDocument]:
    return (await db.exec(_of_batch(batch_id).where(col(RagDocument.id).in_(ids)))).all()


def _within(rows: Sequence[RagDocument], size: int) -> list[RagDocument]:
    chosen: list[RagDocument] = []
    for row in rows:
        size -= row.size
        suspect = row.attempts >= _SUSPECT_AFTER
        if chosen and (size < 0 or suspect):
            break
        chosen.append(row)
        if suspect:
            break
    return chosen


async def _begin_jobs(db: AsyncSession, job_ids: set[str], now: datetime) -> None:
    statement = update(RagJob).where(col(RagJob.id).in_(job_ids))
    connection = await db.connection()
    await connection.execute(statement.values(state="running"))
    await connection.execute(statement.where(col(RagJob.started_at).is_(None)).values(started_at=now))


def _fail(row: RagDocument, failure: ParseFailure, now: datetime) -> None:
    row.state, row.percent, row.batch_id, row.updated_at = "failed", 100, None, now
    row.error_code, row.error_message, row.retryable = failure.code[:64], failure.message[:1000], failure.retryable


async def _mirror(db: AsyncSession, rows: Sequence[RagDocument], now: datetime) -> set[str]:
    """Give the documents that have the content of `rows` their states; return the jobs of all."""
    by_id = {row.id: row for row in rows}
    statement = select(RagDocument).where(
        col(RagDocument.duplicate_of).in_(list(by_id)), col(RagDocument.state).not_in(_APART)
    )
    copies = (await db.exec(statement)).all()
    for copy in copies:
        like = by_id[copy.duplicate_of or ""]
        copy.state, copy.percent, copy.pages, copy.updated_at = like.state, like.percent, like.pages, now
        copy.error_code, copy.error_message, copy.retryable = like.error_code, like.error_message, like.retryable
        copy.indexed_sha256 = like.indexed_sha256
    await db.flush()
    return {row.job_id for row in (*rows, *copies) if row.job_id}


def _batch(batch_id: str, collection: RagCollection, rows: Sequence[RagDocument]) -> Batch:
    return Batch(
        id=batch_id,
        collection_id=collection.id,
        index_type=cast("IndexType", collection.index_type),
        chunk_tokens=collection.chunk_tokens,
        fingerprint=collection.embedding_fingerprint,
        documents=tuple(_work(row) for row in rows),
    )


def _work(row: RagDocument) -> Work:
    return Work(
        id=row.id,
        name=row.name,
        media_type=row.media_type,
        sha256=row.sha256,
        created_at=row.created_at,
        job_id=row.job_id,
        attributes=row.attributes,
    )
