"""`Ingestion`: takes work out of the queue, fairly between people, and sees that each piece of it comes to its end.

At most `at_once` batches run, at most `of_one_owner` of one person's: so while one person's ten thousand files are
worked on, another's single one is next. What stands in the way of all work (a full disk, an encoder that is not there)
is waited for, and jobs say so.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from shared.errors import TwinportError
from shared.logging import get_logger
from tools_api.rag.ingestion import job_store, queue
from tools_api.rag.ingestion.bodies import Work
from tools_api.rag.ingestion.runner import Runner
from tools_api.rag.ingestion.work import BatchWork, Tools
from tools_api.rag.ingestion.workflows import WorkflowOptions
from tools_api.rag.values import Owner

_log = get_logger("rag")

_TIDY_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much is worked on at once, what a batch holds (`files`, bytes of originals), and how long what is in the way
    of all work is waited for before the next try."""

    at_once: int = 4
    of_one_owner: int = 2
    files: int = 64
    batch_bytes: int = 16 * 1024 * 1024
    pause_s: float = 5.0


class Ingestion:
    """Makes the documents searchable that are queued in the catalogue. For one event loop; `open` before use.

    With `reindex="auto"` collections get vectors of the embedding model that this process has, if theirs are older.
    """

    def __init__(
        self, tools: Tools, workflows: WorkflowOptions, pace: Pace, *, reindex: Literal["auto", "manual"]
    ) -> None:
        self._tools = tools
        self._pace = pace
        self._runner = Runner(tools, workflows, self._ended)
        self._woken = asyncio.Event()
        self._not_before = 0.0
        self._looks_for_old_models = reindex == "auto"
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self) -> None:
        """Begin, with what an earlier process left. Nothing is started as long as there is nothing to do."""
        async with self._tools.database.session() as db:
            unfinished = await queue.unfinished(db)
            unended = await job_store.open_jobs(db)
        await asyncio.to_thread(self._tools.spool.open, unfinished)
        for job_id in unended:
            await self.close_job(job_id)
        self._begin(after_s=0.0)

    async def aclose(self) -> None:
        """Stop at once. What is under way is taken up at the next start."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.aclose()

    def wake(self) -> None:
        """Look whether there is something to do."""
        self._woken.set()

    def interrupt(self, document_ids: Sequence[str], *, job_id: str | None = None) -> None:
        """Stop working on these documents, or on this job: they were changed, cancelled or removed."""
        self._tools.board.wipe(document_ids)
        self._runner.interrupt(document_ids, job_id)

    async def unindex(self, collection_id: str, document_ids: Sequence[str]) -> None:
        """Take documents out of the index and the spool; when it returns, no search finds them."""
        async with self._tools.locks.index(collection_id):
            index = await self._tools.indexes.existing(collection_id)
            if index is not None:
                await index.delete(document_ids)
            await asyncio.to_thread(self._tools.spool.remove, document_ids)

    async def close_job(self, job_id: str | None) -> None:
        """Finish a job if nothing of it is left to do, and tell those who watch it."""
        if job_id is not None:
            async with self._tools.database.transaction() as db:
                await job_store.close_jobs(db, [job_id], datetime.now(UTC))
            self._tools.board.tell(job_id)

    def _begin(self, *, after_s: float) -> None:
        task = self._keep(self._work_for_ever(after_s))
        task.add_done_callback(self._begin_again)

    def _begin_again(self, task: asyncio.Task[None]) -> None:
        """Go on after what nobody foresaw, which the log has: documents wait for us."""
        if not self._closed and not task.cancelled():
            self._begin(after_s=self._pace.pause_s)

    async def _work_for_ever(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        idle = False
        while True:
            self._woken.clear()
            try:
                if idle:
                    await self._runner.forget_old()
                await self._begin_work()
            except TwinportError as error:  # a database, or the encoder, is not there: it may be in a moment
                self._pause(error)
            idle = not await self._rest()

    async def _rest(self) -> bool:
        """Wait for something to do, or until what is in the way may be gone; False if nothing came for long."""
        pause_s = self._not_before - asyncio.get_running_loop().time()
        if pause_s > 0:
            await asyncio.sleep(pause_s)
            return True
        return await self._woken_within(_TIDY_EVERY_S)

    async def _woken_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._woken.wait()
        except TimeoutError:
            return False

    async def _begin_work(self) -> None:
        await self._look_for_old_models()
        async with self._tools.database.session() as db:
            left = await queue.batches(db)
            reindexing = await job_store.reindexing(db)
            waiting = await queue.waiting_owners(db, [])
        if not (left or reindexing or waiting):
            return
        if not self._runner.launched:
            await self._launch(left)
        if reindexing or waiting:
            await self._tools.encoder.model()  # nothing can be done without it, so nothing is begun
            self._tools.board.note = None
        for job in reindexing:
            if not self._runner.reindexes(job.id):
                await self._runner.start(self._new_id(), Owner(job.service, job.person), job.id)
        await self._begin_batches([job.collection_id for job in reindexing if job.started_at is None])

    async def _launch(self, left: Sequence[str]) -> None:
        """Start the workflows; documents in a batch that none of them works on go back into the queue."""
        under_way = await self._runner.launch()
        for batch_id in set(left) - under_way:
            await self._release(batch_id, blameless=True)

    async def _look_for_old_models(self) -> None:
        """Queue a reindex of every collection whose vectors are of another model than today's; once for a process."""
        if not self._looks_for_old_models:
            return
        async with self._tools.database.session() as db:
            concerned = await job_store.has_vectors(db)
        if concerned:
            model = await self._tools.encoder.model()
            async with self._tools.database.transaction() as db:
                for collection in await job_store.stale(db, model.fingerprint):
                    owner = Owner(collection.service, collection.person)
                    await job_store.add_reindex(db, collection.id, owner, datetime.now(UTC))
        self._looks_for_old_models = False

    async def _begin_batches(self, held: Sequence[str]) -> None:
        """Begin batches as long as there is room; `held` collections wait until new vectors may come."""
        async with self._tools.database.session() as db:
            waiting = await queue.waiting_owners(db, held)
        while not self._waits and len(self._runner.owners) < self._pace.at_once and (owner := self._next(waiting)):
            if not await self._begin_batch(owner, held):
                waiting.remove(owner)

    def _next(self, waiting: Sequence[Owner]) -> Owner | None:
        """Return whose turn it is: of those who wait, the one with the fewest batches, and of these the longest."""
        running = Counter(self._runner.owners)
        able = [owner for owner in waiting if running[owner] < self._pace.of_one_owner]
        return min(able, key=lambda owner: running[owner], default=None)

    async def _begin_batch(self, owner: Owner, held: Sequence[str]) -> bool:
        batch_id = self._new_id()
        async with self._tools.database.transaction() as db:
            batch = await queue.claim(
                db,
                owner,
                held,
                batch_id=batch_id,
                files=self._pace.files,
                size=self._pace.batch_bytes,
                now=datetime.now(UTC),
            )
        if batch is None:
            return False
        for job_id in {work.job_id for work in batch.documents}:
            self._tools.board.tell(job_id)
        await self._runner.start(batch_id, owner)
        return True

    def _new_id(self) -> str:
        return f"{self._runner.prefix}{secrets.token_hex(12)}"

    def _ended(self, workflow_id: str, work: Work, in_the_way: TwinportError | None, broke: bool) -> None:
        self._tools.board.wipe(work.documents)
        if in_the_way is not None:
            self._pause(in_the_way)
        if isinstance(work, BatchWork):
            self._keep(self._settle(workflow_id, blameless=in_the_way is not None))
        elif broke:
            self._keep(self._fail_job(work.job_id))
        self.wake()

    async def _fail_job(self, job_id: str) -> None:
        error = ("internal_error", "The collection could not be indexed anew; the log says why.")
        async with self._tools.database.transaction() as db:
            await job_store.end(db, job_id, "failed", datetime.now(UTC), error=error)
        self._tools.board.tell(job_id)

    async def _settle(self, batch_id: str, *, blameless: bool) -> None:
        """Put back what is left of a batch, as soon as that can be written down."""
        while True:
            try:
                await self._release(batch_id, blameless=blameless)
            except TwinportError as error:
                self._pause(error)
                await asyncio.sleep(self._pace.pause_s)
            else:
                self.wake()
                return

    async def _release(self, batch_id: str, *, blameless: bool) -> None:
        async with self._tools.database.transaction() as db:
            released, jobs = await queue.release(db, batch_id, datetime.now(UTC), blameless=blameless)
            await job_store.close_jobs(db, jobs, datetime.now(UTC))
        if released:
            _log.warning("batch_put_back", batch=batch_id, documents=len(released), blameless=blameless)
        for job_id in jobs:
            self._tools.board.tell(job_id, released)

    @property
    def _waits(self) -> bool:
        return self._not_before > asyncio.get_running_loop().time()

    def _pause(self, error: TwinportError) -> None:
        """Begin nothing for a while, and say why."""
        if self._tools.board.note != error.message:
            _log.warning("ingestion_waits", code=error.code, reason=error.message)
        self._tools.board.note = error.message
        self._not_before = asyncio.get_running_loop().time() + self._pace.pause_s

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("ingestion_stopped", exc_info=error)
