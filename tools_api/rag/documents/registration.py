"""The rules by which an upload's files become documents: names are unique in a collection, contents are indexed once.

* same name, same content: nothing to do (`unchanged`), unless it failed, was cancelled or gets other metadata;
* same name, new content: a new version of that document; searches find the old one until the new one is ready;
* new name, known content: a document of its own that points at the one which is indexed for both (`duplicate`);
* new name, known content, other metadata: it is indexed for itself, so that filters by metadata find it.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlmodel.ext.asyncio.session import AsyncSession

from tools_api.rag.documents import store
from tools_api.rag.documents.values import UNFINISHED, Accepted, Draft, Outcome
from tools_api.rag.tables import RagDocument, RagJob
from tools_api.rag.values import Owner, ParseFailure


@dataclass(slots=True)
class Registered:
    """What a registration changed: `interrupted` are worked on in an old version, `unindexed` are to leave the index,
    `replaced` are contents that may be nobody's any more, `left` are jobs that may have nothing left to do."""

    job_id: str
    files: list[Accepted] = field(default_factory=list[Accepted])
    interrupted: list[str] = field(default_factory=list[str])
    unindexed: list[str] = field(default_factory=list[str])
    replaced: list[str] = field(default_factory=list[str])
    left: set[str] = field(default_factory=set[str])


async def register(
    db: AsyncSession,
    collection_id: str,
    who: Owner,
    files: Sequence[Draft],
    *,
    metadata: Mapping[str, Any] | None,
    now: datetime,
) -> Registered:
    """Enter files into the catalogue, and a job that works on those that need it. `who` uploads them."""
    registration = _Registration(db, collection_id, metadata, now)
    await registration.load(files)
    for file in files:
        await registration.enter(file)
    await registration.add_job(who)
    return registration.result


class _Registration:
    def __init__(self, db: AsyncSession, collection_id: str, metadata: Mapping[str, Any] | None, now: datetime) -> None:
        self.result = Registered(f"job_{secrets.token_hex(16)}")
        self._db = db
        self._collection_id = collection_id
        self._metadata = metadata
        self._now = now
        self._by_name: dict[str, RagDocument] = {}
        self._indexed: dict[tuple[str, bytes], RagDocument] = {}
        self._entered: list[tuple[RagDocument, Outcome]] = []

    async def load(self, files: Sequence[Draft]) -> None:
        """Read what the collection has of these names and contents."""
        self._by_name = await store.by_names(self._db, self._collection_id, [file.name for file in files])
        digests = list({file.sha256 for file in files})
        found = await store.indexed_for(self._db, self._collection_id, digests)
        self._indexed = {_content(row): row for row in found}

    async def enter(self, file: Draft) -> None:
        """Enter one file."""
        row = self._by_name.get(file.name)
        if row is None:
            row = self._new(file)
        elif row.sha256 != file.sha256:
            await self._replace(row, file)
        elif self._is_done(row):
            self._entered.append((row, "unchanged"))
            return
        elif file.failure is None:
            await self._again(row)
            return
        if file.failure is not None:
            await self._refuse(row, file.failure)
        else:
            await self._queue(row)

    async def add_job(self, who: Owner) -> None:
        """Add the job, finished if there is nothing to do."""
        queued = sum(outcome != "unchanged" for _, outcome in self._entered)
        to_do = any(row.state in UNFINISHED for row, outcome in self._entered if outcome != "unchanged")
        job = RagJob(
            id=self.result.job_id,
            collection_id=self._collection_id,
            service=who.service,
            person=who.person,
            kind="ingest",
            state="queued" if to_do else "finished",
            total=queued,
            unchanged=len(self._entered) - queued,
            created_at=self._now,
            finished_at=None if to_do else self._now,
        )
        self._db.add(job)
        await self._db.flush()
        self.result.files = [Accepted(store.as_document(row), outcome) for row, outcome in self._entered]

    def _new(self, file: Draft) -> RagDocument:
        row = RagDocument(
            id=f"doc_{secrets.token_hex(16)}",
            collection_id=self._collection_id,
            name=file.name,
            media_type=file.media_type,
            size=file.size,
            sha256=file.sha256,
            state="queued",
            attributes=dict(self._metadata or {}),
            created_at=self._now,
            updated_at=self._now,
        )
        self._by_name[file.name] = row
        self._db.add(row)
        return row

    async def _replace(self, row: RagDocument, file: Draft) -> None:
        await self._part(row)
        self.result.replaced.append(row.sha256)
        row.sha256, row.size, row.media_type = file.sha256, file.size, file.media_type
        if self._metadata is not None:
            row.attributes = dict(self._metadata)
        row.attempts = 0
        self.result.interrupted.append(row.id)

    async def _part(self, row: RagDocument) -> None:
        """Part a document from those that have its content and metadata, before one of these changes."""
        await self._pass_on(row)
        if self._indexed.get(_content(row)) is row:
            del self._indexed[_content(row)]
        if row.duplicate_of is not None:
            row.duplicate_of, row.indexed_sha256 = None, None  # what searches found was the other one's

    async def _pass_on(self, row: RagDocument) -> None:
        """Let another document be indexed for the content that this one had."""
        heir = await store.promote_duplicate(self._db, row.id, self._now) if row.duplicate_of is None else None
        if heir is not None:
            self._indexed[_content(heir)] = heir

    def _is_done(self, row: RagDocument) -> bool:
        if row.state in {"failed", "cancelled"}:
            return False
        return self._metadata is None or dict(self._metadata) == row.attributes

    async def _again(self, row: RagDocument) -> None:
        if self._metadata is not None and dict(self._metadata) != row.attributes:
            await self._part(row)
            row.attributes = dict(self._metadata)
        self.result.interrupted.append(row.id)
        await self._queue(row)

    def _take_over(self, row: RagDocument) -> None:
        if row.job_id is not None:
            self.result.left.add(row.job_id)
        row.job_id = self.result.job_id

    async def _refuse(self, row: RagDocument, failure: ParseFailure) -> None:
        self._take_over(row)
        row.state, row.percent, row.batch_id, row.updated_at = "failed", 100, None, self._now
        row.error_code, row.error_message, row.retryable = failure.code, failure.message, failure.retryable
        self._indexed.setdefault(_content(row), row)
        self._entered.append((row, "failed"))

    async def _queue(self, row: RagDocument) -> None:
        self._take_over(row)
        indexed = self._indexed.setdefault(_content(row), row)
        if indexed is row:
            await store.requeue(self._db, row, self._now)
            self._entered.append((row, "queued"))
            return
        if indexed.state in {"failed", "cancelled"}:
            await store.requeue(self._db, indexed, self._now)
        if row.chunks:
            self.result.unindexed.append(row.id)
        _follow(row, indexed)
        self._entered.append((row, "duplicate"))


def _content(row: RagDocument) -> tuple[str, bytes]:
    """Return what documents have in common that are indexed once: the digest and the metadata."""
    return row.sha256, orjson.dumps(row.attributes, option=orjson.OPT_SORT_KEYS)


def _follow(row: RagDocument, indexed: RagDocument) -> None:
    """Make a document a duplicate of the one that is indexed for both.

    Its `chunks` stay as they are: as long as they are not 0, it has some in the index that are to leave it.
    """
    row.duplicate_of, row.batch_id = indexed.id, None
    row.state, row.percent, row.pages = indexed.state, indexed.percent, indexed.pages
    row.error_code, row.error_message, row.retryable = indexed.error_code, indexed.error_message, indexed.retryable
    row.indexed_sha256 = indexed.indexed_sha256
