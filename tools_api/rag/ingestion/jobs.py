"""`JobService`: what people see of ingestion, and how they steer it."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.errors import Conflict, NotFound
from tools_api.db import Database
from tools_api.embeddings.protocol import Encoder
from tools_api.rag.collections.access import Access
from tools_api.rag.collections.values import Need
from tools_api.rag.documents import store as documents_store
from tools_api.rag.documents.locks import Locks
from tools_api.rag.documents.service import Worker
from tools_api.rag.documents.values import Document
from tools_api.rag.ingestion import job_store
from tools_api.rag.ingestion.board import Board
from tools_api.rag.ingestion.values import ENDED, Job, JobState
from tools_api.rag.tables import RagJob
from tools_api.rag.values import Owner

_FRESH_S = 1.0
"""How old news of a running job may be; percents move that often at most."""
_MAX_DOCUMENTS = 200
"""Changed documents that are told one by one; of more, the job's counts say enough."""


class JobNotFound(NotFound):
    """There is no such job, or it is somebody else's."""

    code = "job_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such job.", param="job")


@dataclass(frozen=True, slots=True)
class JobNews:
    """A job as it stands, and those of its documents that changed since the news before."""

    job: Job
    documents: tuple[Document, ...] = ()


class JobService:
    """Jobs of the collections that somebody reaches."""

    def __init__(
        self, database: Database, access: Access, worker: Worker, encoder: Encoder, *, board: Board, locks: Locks
    ) -> None:
        self._database = database
        self._access = access
        self._worker = worker
        self._encoder = encoder
        self._board = board
        self._locks = locks

    async def page(
        self, owner: Owner, *, collection: str | None, limit: int, after: str | None, state: JobState | None
    ) -> tuple[list[Job], bool]:
        """Return a page of jobs, the newest first, and whether there are more."""
        found = await self._access.visible(owner, None if collection is None else [collection])
        async with self._database.session() as db:
            ids = [one.id for one in found]
            rows = await job_store.jobs(db, ids, limit=limit + 1, after=after, state=state)
        return await self._jobs(rows[:limit]), len(rows) > limit

    async def get(self, owner: Owner, job_id: str) -> Job:
        """Return a job. Raises `JobNotFound`."""
        return (await self._jobs([await self._row(owner, job_id)]))[0]

    async def news(self, owner: Owner, job_id: str) -> AsyncGenerator[JobNews]:
        """Yield how a job stands, then what changes, until it ends. Raises `JobNotFound`."""
        row = await self._row(owner, job_id)
        with self._board.watching(job_id) as watch:
            job = (await self._jobs([row]))[0]
            yield JobNews(job)
            while job.state not in ENDED:
                changed = await watch.changes(_FRESH_S)
                row = await self._row(owner, job_id)  # it may have been removed, or be shared no more
                latest = (await self._jobs([row]))[0]
                if changed or latest != job:
                    job = latest
                    yield JobNews(job, await self._documents(job, sorted(changed or ())))

    async def cancel(self, owner: Owner, job_id: str) -> Job:
        """Stop a job: what it has indexed stays, what it has not is `cancelled`, but for what other jobs need too.

        Raises `JobNotFound`, `Conflict`.
        """
        row = await self._row(owner, job_id, "write")
        if row.state in ENDED:
            raise Conflict(f"The job is {row.state} already.")
        async with self._locks.index(row.collection_id), self._database.transaction() as db:
            left = await job_store.cancel(db, job_id, datetime.now(UTC))
        self._worker.interrupt(left, job_id=job_id)
        self._board.tell(job_id, left)
        return await self.get(owner, job_id)

    async def retry(self, owner: Owner, job_id: str) -> Job:
        """Queue those documents of a job again that failed or were cancelled. Raises `JobNotFound`, `Conflict`."""
        row = await self._row(owner, job_id, "write")
        async with self._database.transaction() as db:
            again = await job_store.ids_of_job(db, job_id, ("failed", "cancelled"))
            if not again and (row.kind == "ingest" or row.state not in {"failed", "cancelled"}):
                raise Conflict("Nothing of this job failed or was cancelled.")
            for document_id in again:
                await documents_store.requeue_with_copies(db, document_id, datetime.now(UTC))
            if row.kind == "reindex":
                await job_store.reopen(db, job_id)
        self._board.tell(job_id, again)
        self._worker.wake()
        return await self.get(owner, job_id)

    async def reindex(self, owner: Owner, reference: str) -> Job:
        """Index a collection anew: with today's embedding model if its vectors are of another one, else from the
        originals, by today's rules for passages. Raises `EncoderUnavailable`."""
        collection = await self._access.collection(owner, reference, "write")
        model = await self._encoder.model()
        now = datetime.now(UTC)
        async with self._database.transaction() as db:
            if collection.fingerprint in {None, model.fingerprint}:
                row = await job_store.read_again(db, collection.id, owner, now)
            else:
                row = await job_store.add_reindex(db, collection.id, owner, now)
        self._worker.wake()
        return await self.get(owner, row.id)

    async def _row(self, owner: Owner, job_id: str, need: Need = "read") -> RagJob:
        async with self._database.session() as db:
            row = await job_store.job(db, job_id)
        if row is None:
            raise JobNotFound
        try:
            await self._access.collection(owner, row.collection_id, need)
        except NotFound:
            raise JobNotFound from None
        return row

    async def _jobs(self, rows: Sequence[RagJob]) -> list[Job]:
        in_work = self._board.in_work()
        async with self._database.session() as db:
            counts = await job_store.counts(db, [row.id for row in rows])
            ahead = await job_store.of_jobs(db, in_work)
        return [
            job_store.as_job(row, counts[row.id], ahead=self._board.ahead(ahead.get(row.id, ())), note=self._board.note)
            for row in rows
        ]

    async def _documents(self, job: Job, ids: Sequence[str]) -> tuple[Document, ...]:
        if not 0 < len(ids) <= _MAX_DOCUMENTS:
            return ()
        async with self._database.session() as db:
            found = await documents_store.of_ids(db, job.collection_id, ids)
        return tuple(self._board.seen(document) for document in found)
