"""The SQL of jobs. Each function works in the session that it is given and commits nothing."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import and_, func, or_, update
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from tools_api.rag.documents.values import UNFINISHED, DocumentError, DocumentState
from tools_api.rag.ingestion.values import Job, JobKind, JobState
from tools_api.rag.tables import RagCollection, RagDocument, RagJob
from tools_api.rag.values import Owner


async def close_jobs(db: AsyncSession, job_ids: Iterable[str], now: datetime) -> None:
    """Finish those of the jobs that have nothing left to do."""
    for job_id in sorted(job_ids):
        job = await db.get(RagJob, job_id)
        if job is None or job.kind != "ingest" or job.state not in {"queued", "running"}:
            continue
        left = select(RagDocument.id).where(RagDocument.job_id == job_id, col(RagDocument.state).in_(UNFINISHED))
        if (await db.exec(left.limit(1))).first() is None:
            job.state, job.finished_at = "finished", now
    await db.flush()


async def open_jobs(db: AsyncSession) -> Sequence[str]:
    """Return the jobs that have not ended."""
    return (await db.exec(select(RagJob.id).where(col(RagJob.state).in_(["queued", "running"])))).all()


async def job(db: AsyncSession, job_id: str) -> RagJob | None:
    """Return a job's row."""
    return await db.get(RagJob, job_id)


async def jobs(
    db: AsyncSession, collection_ids: Sequence[str], *, limit: int, after: str | None, state: JobState | None
) -> Sequence[RagJob]:
    """Return up to `limit` jobs of these collections behind the one with the id `after`, the newest first."""
    statement = select(RagJob).where(col(RagJob.collection_id).in_(collection_ids))
    if state is not None:
        statement = statement.where(RagJob.state == state)
    if after is not None:
        last = await db.get(RagJob, after)
        if last is None:
            return []
        earlier = col(RagJob.created_at) < last.created_at
        same_time = and_(col(RagJob.created_at) == last.created_at, col(RagJob.id) < last.id)
        statement = statement.where(or_(earlier, same_time))
    order = (col(RagJob.created_at).desc(), col(RagJob.id).desc())
    return (await db.exec(statement.order_by(*order).limit(limit))).all()


async def counts(db: AsyncSession, job_ids: Sequence[str]) -> dict[str, dict[DocumentState, int]]:
    """Return how many documents of each of these jobs are in which state."""
    statement = (
        select(RagDocument.job_id, RagDocument.state, func.count())
        .where(col(RagDocument.job_id).in_(job_ids), RagDocument.state != "deleting")
        .group_by(col(RagDocument.job_id), col(RagDocument.state))
    )
    found: dict[str, dict[DocumentState, int]] = {job_id: {} for job_id in job_ids}
    for job_id, state, number in (await db.exec(statement)).all():
        found[job_id or ""][cast("DocumentState", state)] = number
    return found


async def ids_of_job(db: AsyncSession, job_id: str, states: Sequence[str]) -> Sequence[str]:
    """Return the documents of a job in one of these states; of copies, what they are copies of."""
    statement = select(RagDocument.id, RagDocument.duplicate_of).where(
        RagDocument.job_id == job_id, col(RagDocument.state).in_(states)
    )
    return sorted({copied or own for own, copied in (await db.exec(statement)).all()})


async def cancel(db: AsyncSession, job_id: str, now: datetime) -> list[str]:
    """Cancel what is left of a job, and return it. What is indexed for documents of another job too is that job's now,
    and goes on."""
    await _hand_over(db, job_id)
    which = (col(RagDocument.job_id) == job_id, col(RagDocument.state).in_(UNFINISHED))
    ids = list((await db.exec(select(RagDocument.id).where(*which))).all())
    changes = {"state": "cancelled", "batch_id": None, "error_code": None, "error_message": None}
    await (await db.connection()).execute(update(RagDocument).where(*which).values(updated_at=now, **changes))
    await end(db, job_id, "cancelled", now)
    return ids


async def _hand_over(db: AsyncSession, job_id: str) -> None:
    copy = aliased(RagDocument)
    statement = (
        select(RagDocument, copy.job_id)
        .join(copy, col(copy.duplicate_of) == col(RagDocument.id))
        .where(col(RagDocument.job_id) == job_id, col(RagDocument.state).in_(UNFINISHED))
        .where(col(copy.job_id) != job_id, col(copy.state).in_(UNFINISHED))
    )
    for row, heir in (await db.exec(statement)).all():
        job = await db.get(RagJob, heir or "")
        if job is not None and row.job_id == job_id:
            row.job_id, job.total = job.id, job.total + 1
    await db.flush()


def as_job(row: RagJob, documents: Mapping[DocumentState, int], *, ahead: int, note: str | None) -> Job:
    """Return a row as a value; `ahead` is the sum of percents of the documents that are worked on."""
    state = cast("JobState", row.state)
    if row.kind == "ingest":
        left = sum(documents.get(one, 0) for one in UNFINISHED)
        percent = 100 if not row.total or not left else min(99, (100 * (row.total - left) + ahead) // row.total)
    else:
        percent = 100 if state == "finished" else min(99, 100 * row.done // max(1, row.total))
    error = DocumentError(row.error_code, row.error_message or "", True) if row.error_code else None
    return Job(
        id=row.id,
        collection_id=row.collection_id,
        owner=Owner(row.service, row.person),
        kind=cast("JobKind", row.kind),
        state=state,
        total=row.total,
        unchanged=row.unchanged,
        percent=percent,
        created_at=row.created_at,
        documents=documents,
        error=error,
        note=note if state in {"queued", "running"} else None,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


async def end(
    db: AsyncSession, job_id: str, state: JobState, now: datetime, *, error: tuple[str, str] | None = None
) -> None:
    """End a job that has not ended; `error` is a code and a message."""
    job = await db.get(RagJob, job_id)
    if job is not None and job.state in {"queued", "running"}:
        job.state, job.finished_at = state, now
        job.error_code, job.error_message = error or (None, None)
        await db.flush()


async def of_jobs(db: AsyncSession, document_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return which of these documents belong to which job."""
    found: dict[str, list[str]] = {}
    statement = select(RagDocument.job_id, RagDocument.id).where(col(RagDocument.id).in_(document_ids))
    for job_id, document_id in (await db.exec(statement)).all():
        found.setdefault(job_id or "", []).append(document_id)
    return found


async def advance(db: AsyncSession, job_id: str, *, done: int, total: int, now: datetime) -> None:
    """Say how far a reindex is, in passages."""
    job = await db.get(RagJob, job_id)
    if job is not None and job.state in {"queued", "running"}:
        job.state, job.done, job.total = "running", done, total
        job.started_at = job.started_at or now
        await db.flush()


async def reindexing(db: AsyncSession) -> Sequence[RagJob]:
    """Return the jobs of kind `reindex` that have not ended."""
    statement = select(RagJob).where(RagJob.kind == "reindex", col(RagJob.state).in_(["queued", "running"]))
    return (await db.exec(statement.order_by(col(RagJob.created_at)))).all()


async def stale(db: AsyncSession, fingerprint: str) -> Sequence[RagCollection]:
    """Return the collections whose vectors are of another model."""
    statement = select(RagCollection).where(
        RagCollection.state == "active",
        col(RagCollection.embedding_fingerprint).is_not(None),
        RagCollection.embedding_fingerprint != fingerprint,
    )
    return (await db.exec(statement)).all()


async def has_vectors(db: AsyncSession) -> bool:
    """Say whether any collection has vectors."""
    statement = select(RagCollection.id).where(col(RagCollection.embedding_fingerprint).is_not(None)).limit(1)
    return (await db.exec(statement)).first() is not None


async def add_reindex(db: AsyncSession, collection_id: str, who: Owner, now: datetime) -> RagJob:
    """Return the collection's job of kind `reindex` that has not ended, made if there is none."""
    for job in await reindexing(db):
        if job.collection_id == collection_id:
            return job
    job = RagJob(
        id=f"job_{secrets.token_hex(16)}",
        collection_id=collection_id,
        service=who.service,
        person=who.person,
        kind="reindex",
        state="queued",
        created_at=now,
    )
    db.add(job)
    await db.flush()
    return job


async def read_again(db: AsyncSession, collection_id: str, who: Owner, now: datetime) -> RagJob:
    """Queue every document of a collection, in a job of its own; searches find the old passages meanwhile."""
    which = (
        col(RagDocument.collection_id) == collection_id,
        col(RagDocument.state).not_in(["deleting", *UNFINISHED]),
    )
    job = RagJob(
        id=f"job_{secrets.token_hex(16)}",
        collection_id=collection_id,
        service=who.service,
        person=who.person,
        kind="ingest",
        state="queued",
        total=(await db.exec(select(func.count()).select_from(RagDocument).where(*which))).one(),
        created_at=now,
    )
    db.add(job)
    await db.flush()
    again = update(RagDocument).where(*which)
    changes = {
        "state": "queued",
        "percent": 0,
        "attempts": 0,
        "batch_id": None,
        "error_code": None,
        "error_message": None,
    }
    await (await db.connection()).execute(again.values(job_id=job.id, updated_at=now, **changes))
    await close_jobs(db, [job.id], now)
    return job


async def reopen(db: AsyncSession, job_id: str) -> None:
    """Let a job that has ended go on."""
    job = await db.get(RagJob, job_id)
    if job is not None:
        job.state, job.finished_at = "queued", None
        job.error_code = job.error_message = None
        await db.flush()
