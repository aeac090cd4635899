"""The SQL of documents. Each function works in the session that it is given and commits nothing."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, and_, func, or_, text, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from tools_api.rag.documents.values import UNFINISHED, Document, DocumentError, DocumentState
from tools_api.rag.tables import RagCollection, RagDocument, RagJob
from tools_api.rag.values import Owner

_OWNERS_LOCK = 7_494_190_117  # any number but the other locks'; the same in every process
_AT_ONCE = 500  # parameters of one statement


async def lock_owners(db: AsyncSession) -> None:
    """Let one transaction at a time count and add documents; SQLite has one writer at a time anyway."""
    connection = await db.connection()
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _OWNERS_LOCK})


async def is_there(db: AsyncSession, collection_id: str) -> bool:
    """Say whether a collection is not being removed, and keep it so until the transaction ends."""
    statement = select(RagCollection.state).where(RagCollection.id == collection_id).with_for_update()
    return (await db.exec(statement)).first() == "active"


async def used(db: AsyncSession, owner: Owner) -> tuple[int, int]:
    """Return the files and bytes of all documents of an owner."""
    statement = (
        select(func.count(), func.coalesce(func.sum(RagDocument.size), 0))
        .select_from(RagDocument)
        .join(RagCollection, col(RagCollection.id) == col(RagDocument.collection_id))
        .where(RagCollection.service == owner.service, RagCollection.person == owner.person)
    )
    files, size = (await db.exec(statement)).one()
    return files, int(size)


async def by_names(db: AsyncSession, collection_id: str, names: Sequence[str]) -> dict[str, RagDocument]:
    """Return the documents of a collection that have one of these names."""
    found = await _in_pieces(db, collection_id, col(RagDocument.name), names)
    return {row.name: row for row in found}


async def indexed_for(db: AsyncSession, collection_id: str, digests: Sequence[str]) -> list[RagDocument]:
    """Return the documents of the collection that are indexed themselves for one of these contents."""
    found = await _in_pieces(db, collection_id, col(RagDocument.sha256), digests)
    return [row for row in found if row.duplicate_of is None]


async def _in_pieces(db: AsyncSession, collection_id: str, column: Any, values: Sequence[str]) -> list[RagDocument]:
    found: list[RagDocument] = []
    for piece in _pieces(values):
        statement = select(RagDocument).where(
            RagDocument.collection_id == collection_id, RagDocument.state != "deleting", column.in_(piece)
        )
        found += (await db.exec(statement)).all()
    return found


async def get(db: AsyncSession, collection_id: str, document_id: str) -> Document | None:
    """Return a document that is not being removed."""
    found = await row(db, collection_id, document_id)
    return None if found is None else as_document(found)


async def row(db: AsyncSession, collection_id: str, document_id: str) -> RagDocument | None:
    """Return a document's row, to change it."""
    found = await db.get(RagDocument, document_id)
    return None if found is None or found.collection_id != collection_id or found.state == "deleting" else found


async def page(
    db: AsyncSession,
    collection_id: str,
    *,
    limit: int,
    after: str | None,
    state: DocumentState | None,
) -> list[Document]:
    """Return up to `limit` documents behind the one with the id `after`, the newest first."""
    statement = select(RagDocument).where(RagDocument.collection_id == collection_id, RagDocument.state != "deleting")
    if state is not None:
        statement = statement.where(RagDocument.state == state)
    if after is not None:
        last = await db.get(RagDocument, after)
        if last is None or last.collection_id != collection_id:
            return []
        statement = statement.where(_behind(last))
    statement = statement.order_by(col(RagDocument.created_at).desc(), col(RagDocument.id).desc()).limit(limit)
    return [as_document(row) for row in (await db.exec(statement)).all()]


async def mark_deleting(db: AsyncSession, collection_id: str, document_id: str, now: datetime) -> RagDocument | None:
    """Take a document from everybody and free its name; return its row, also if that was done before, or None."""
    found = await db.get(RagDocument, document_id)
    if found is None or found.collection_id != collection_id:
        return None
    found.state, found.name, found.attributes, found.updated_at = "deleting", f"\u0001{found.id}", {}, now
    found.batch_id = None
    await db.flush()
    return found


async def deleting(db: AsyncSession) -> list[tuple[str, str]]:
    """Return the collections and ids of documents whose removal has begun."""
    statement = select(RagDocument.collection_id, RagDocument.id).where(RagDocument.state == "deleting")
    return [(collection_id, document_id) for collection_id, document_id in (await db.exec(statement)).all()]


async def stale_copies(db: AsyncSession, collection_id: str | None = None) -> list[tuple[str, str]]:
    """Return the collections and ids of duplicates that are in the index themselves, from before they became one."""
    statement = select(RagDocument.collection_id, RagDocument.id).where(
        col(RagDocument.duplicate_of).is_not(None), RagDocument.state != "deleting", RagDocument.chunks > 0
    )
    if collection_id is not None:
        statement = statement.where(RagDocument.collection_id == collection_id)
    return [(collection, document_id) for collection, document_id in (await db.exec(statement)).all()]


async def mark_unindexed(db: AsyncSession, ids: Sequence[str]) -> None:
    """Note that duplicates have left the index."""
    for piece in _pieces(ids):
        mine = and_(col(RagDocument.id).in_(piece), col(RagDocument.duplicate_of).is_not(None))
        await (await db.connection()).execute(update(RagDocument).where(mine).values(chunks=0))


async def promote_duplicate(db: AsyncSession, document_id: str, now: datetime) -> RagDocument | None:
    """Let another document be indexed for those that `document_id` was; return it, or None if there is none."""
    statement = (
        select(RagDocument)
        .where(RagDocument.duplicate_of == document_id, RagDocument.state != "deleting")
        .order_by(col(RagDocument.state) == "cancelled", col(RagDocument.created_at), col(RagDocument.id))
    )
    rows = (await db.exec(statement)).all()
    if not rows:
        return None
    first = rows[0]
    for row in rows[1:]:
        row.duplicate_of = first.id
    first.duplicate_of = None
    first.indexed_sha256 = None
    if first.state != "cancelled":
        await requeue(db, first, now)
    return first


async def requeue(db: AsyncSession, row: RagDocument, now: datetime) -> None:
    """Put a document into the queue from its beginning, and open its job again."""
    row.state, row.percent, row.batch_id, row.updated_at = "queued", 0, None, now
    row.error_code = row.error_message = None
    row.retryable, row.attempts = False, 0
    job = await db.get(RagJob, row.job_id) if row.job_id else None
    if job is not None and job.state in {"finished", "cancelled"}:
        job.state, job.finished_at = "queued", None
    await db.flush()


async def requeue_with_copies(db: AsyncSession, document_id: str, now: datetime) -> None:
    """Put a document into the queue again, and show it of those that have its content."""
    copies = select(RagDocument).where(RagDocument.duplicate_of == document_id, RagDocument.state != "deleting")
    for found in [await db.get(RagDocument, document_id), *(await db.exec(copies)).all()]:
        if found is not None:
            await requeue(db, found, now)


async def cancel(db: AsyncSession, ids: Sequence[str], now: datetime) -> set[str]:
    """Cancel those of the documents, and of their copies, that wait or are worked on; return the jobs of all."""
    jobs: set[str] = set()
    for piece in _pieces(ids):
        which = or_(col(RagDocument.id).in_(piece), col(RagDocument.duplicate_of).in_(piece))
        unfinished = col(RagDocument.state).in_(UNFINISHED)
        concerned = select(RagDocument.job_id).where(which, unfinished).distinct()
        jobs |= {job_id for job_id in (await db.exec(concerned)).all() if job_id is not None}
        statement = update(RagDocument).where(which, unfinished)
        changes = {"state": "cancelled", "batch_id": None, "error_code": None, "error_message": None}
        await (await db.connection()).execute(statement.values(updated_at=now, **changes))
    return jobs


async def ids_in(db: AsyncSession, collection_id: str, states: Sequence[DocumentState]) -> Sequence[str]:
    """Return the documents of a collection that are in one of these states."""
    statement = select(RagDocument.id).where(
        RagDocument.collection_id == collection_id, col(RagDocument.state).in_(states)
    )
    return (await db.exec(statement)).all()


async def remove(db: AsyncSession, document_id: str) -> RagDocument | None:
    """Forget a document, and return what was known of it."""
    found = await db.get(RagDocument, document_id)
    if found is not None:
        await db.delete(found)
        await db.flush()
    return found


async def digests(db: AsyncSession, collection_id: str) -> set[str]:
    """Return the contents that documents of a collection have."""
    return set((await db.exec(select(RagDocument.sha256).where(RagDocument.collection_id == collection_id))).all())


async def is_wanted(db: AsyncSession, collection_id: str, sha256: str) -> bool:
    """Say whether a document of the collection has this content."""
    statement = select(RagDocument.id).where(RagDocument.collection_id == collection_id, RagDocument.sha256 == sha256)
    return (await db.exec(statement)).first() is not None


async def collections(db: AsyncSession) -> Sequence[str]:
    """Return the ids of all collections."""
    return (await db.exec(select(RagCollection.id))).all()


def as_document(row: RagDocument) -> Document:
    """Return a row as a value."""
    error = DocumentError(row.error_code, row.error_message or "", row.retryable) if row.error_code else None
    return Document(
        id=row.id,
        collection_id=row.collection_id,
        name=row.name,
        media_type=row.media_type,
        size=row.size,
        sha256=row.sha256,
        state=cast("DocumentState", row.state),
        percent=row.percent,
        searchable=row.indexed_sha256 is not None,
        chunks=row.chunks,
        attempts=row.attempts,
        created_at=row.created_at,
        updated_at=row.updated_at,
        pages=row.pages,
        error=error,
        duplicate_of=row.duplicate_of,
        job_id=row.job_id,
        metadata=row.attributes,
    )


def _behind(last: RagDocument) -> ColumnElement[bool]:
    earlier = col(RagDocument.created_at) < last.created_at
    return or_(earlier, and_(col(RagDocument.created_at) == last.created_at, col(RagDocument.id) < last.id))


def _pieces(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))


async def of_ids(db: AsyncSession, collection_id: str, ids: Sequence[str]) -> list[Document]:
    """Return documents of a collection, and those that have their content."""
    which = or_(col(RagDocument.id).in_(ids), col(RagDocument.duplicate_of).in_(ids))
    statement = select(RagDocument).where(
        RagDocument.collection_id == collection_id, RagDocument.state != "deleting", which
    )
    return [as_document(found) for found in (await db.exec(statement)).all()]
