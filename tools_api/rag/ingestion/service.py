"""`Ingestion`: takes documents out of the queue, fairly between people, and sees that each batch comes to its end.

At most `at_once` batches run, at most `of_one_owner` of one person's: so while one person's ten thousand files are
worked on, another's single one is next. What stands in the way of all work (a full disk, an encoder that is not there)
is waited for, and jobs say so.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from shared.errors import StorageFull, TwinportError, Unavailable
from shared.logging import get_logger
from tools_api.rag.ingestion import job_store, queue
from tools_api.rag.ingestion.work import BatchWork, Tools
from tools_api.rag.ingestion.workflows import Steps, Stopped, WorkflowOptions, Workflows
from tools_api.rag.values import Owner

_log = get_logger("rag")

T = TypeVar("T")
Ending = Literal["done", "broken", "in_the_way"]

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
    """Makes the documents searchable that are queued in the catalogue. For one event loop; `open` before use."""

    def __init__(self, tools: Tools, workflows: WorkflowOptions, pace: Pace) -> None:
        self._tools = tools
        self._pace = pace
        self._workflows = Workflows(workflows, self._run_batch)
        self._loop = asyncio.get_running_loop()
        self._running: dict[str, tuple[Owner, BatchWork]] = {}
        self._futures: set[Future[Any]] = set()
        self._woken = asyncio.Event()
        self._not_before = 0.0
        self._stopping = False
        self._launched = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin, with what an earlier process left. Nothing is started as long as there is nothing to do."""
        async with self._tools.database.session() as db:
            unfinished = await queue.unfinished(db)
        await asyncio.to_thread(self._tools.spool.open, unfinished)
        self._keep(self._work_for_ever())
        self.wake()

    async def aclose(self) -> None:
        """Stop at once. What is under way is taken up at the next start."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        for future in list(self._futures):
            future.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._launched:
            await asyncio.to_thread(self._workflows.close)

    def wake(self) -> None:
        """Look whether there is something to do."""
        self._woken.set()

    def interrupt(self, document_ids: Sequence[str]) -> None:
        """Let the batches that work on these documents look again at what is left to do."""
        self._tools.board.wipe(document_ids)
        for _, work in self._running.values():
            if not work.documents.isdisjoint(document_ids):
                work.interrupt()

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

    async def _work_for_ever(self) -> None:
        while not self._stopping:
            self._woken.clear()
            try:
                await self._begin_batches()
            except TwinportError as error:  # the database, or the encoder, is not there: it may be in a moment
                self._pause(error)
            except (OSError, SQLAlchemyError) as error:  # of the workflows' database
                self._pause(Unavailable(f"Work on documents cannot begin: {type(error).__name__}."))
            pause_s = max(0.0, self._not_before - self._loop.time())
            await self._wait(pause_s or _TIDY_EVERY_S, wakes=not pause_s)

    async def _wait(self, seconds: float, *, wakes: bool) -> None:
        if not wakes:
            await asyncio.sleep(seconds)
            return
        waiting = asyncio.create_task(self._woken.wait())
        done, _ = await asyncio.wait({waiting}, timeout=seconds)
        waiting.cancel()
        if not done and self._launched:
            await asyncio.to_thread(self._workflows.forget_old)

    async def _begin_batches(self) -> None:
        async with self._tools.database.session() as db:
            waiting = await queue.waiting_owners(db, [])
            left = await queue.batches(db)
        if not self._launched and (waiting or left):
            await self._launch(left)
            self._woken.set()
            return
        if waiting:
            await self._tools.encoder.model()  # nothing can be done without it, so nothing is begun
            self._tools.board.note = None
        while len(self._running) < self._pace.at_once and (owner := self._next(waiting)):
            if not await self._begin_batch(owner):
                waiting.remove(owner)

    async def _launch(self, left: Sequence[str]) -> None:
        """Start the workflows; documents in a batch that none of them works on go back into the queue."""
        under_way = await asyncio.to_thread(self._workflows.launch)
        self._launched = True
        for batch_id in under_way:
            self._running.setdefault(batch_id, (Owner(""), BatchWork(batch_id, self._tools)))
        for batch_id in set(left) - set(under_way):
            await self._release(batch_id, blameless=True)

    def _next(self, waiting: Sequence[Owner]) -> Owner | None:
        """Return whose turn it is: of those who wait, the one with the fewest batches, and of these the longest."""
        running = Counter(owner for owner, _ in self._running.values())
        able = [owner for owner in waiting if running[owner] < self._pace.of_one_owner]
        return min(able, key=lambda owner: running[owner], default=None)

    async def _begin_batch(self, owner: Owner) -> bool:
        batch_id = f"{self._workflows.prefix}{secrets.token_hex(12)}"
        async with self._tools.database.transaction() as db:
            batch = await queue.claim(
                db,
                owner,
                [],
                batch_id=batch_id,
                files=self._pace.files,
                size=self._pace.batch_bytes,
                now=datetime.now(UTC),
            )
        if batch is None:
            return False
        for job_id in {work.job_id for work in batch.documents}:
            self._tools.board.tell(job_id)
        self._running[batch_id] = (owner, BatchWork(batch_id, self._tools))
        await asyncio.to_thread(self._workflows.start, batch_id)
        return True

    def _run_batch(self, batch_id: str, steps: Steps) -> None:
        """Work on a batch, in a thread. The same steps in the same order, whatever happened before."""
        work = self._on_loop(self._work_of(batch_id))
        ending: Ending = "broken"
        error: TwinportError | None = None
        try:
            for documents, large in steps.run("parse", lambda: self._on_loop(work.parse())):
                while large and steps.run("embed", lambda: self._on_loop(work.embed(documents[0]))):  # noqa: B023
                    pass
                steps.run("index", lambda: self._on_loop(work.index(documents)))  # noqa: B023
            ending = "done"
        except (StorageFull, Unavailable) as obstacle:
            ending, error = "in_the_way", obstacle
        finally:
            if not self._stopping:
                self._loop.call_soon_threadsafe(self._ended, batch_id, ending, error)

    async def _work_of(self, batch_id: str) -> BatchWork:
        return self._running.setdefault(batch_id, (Owner(""), BatchWork(batch_id, self._tools)))[1]

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the event loop and wait for it in this thread. Raises `Stopped`."""
        if self._stopping:
            work.close()
            raise Stopped
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._futures.add(future)
        try:
            return future.result()
        except CancelledError:
            raise Stopped from None
        finally:
            self._futures.discard(future)

    def _ended(self, batch_id: str, ending: Ending, error: TwinportError | None) -> None:
        _, work = self._running.pop(batch_id)
        self._tools.board.wipe(work.documents)
        if error is not None:
            self._pause(error)
        self._keep(self._settle(batch_id, blameless=ending == "in_the_way"))

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

    def _pause(self, error: TwinportError) -> None:
        """Begin nothing for a while, and say why."""
        if self._tools.board.note != error.message:
            _log.warning("ingestion_waits", code=error.code, reason=error.message)
        self._tools.board.note = error.message
        self._not_before = self._loop.time() + self._pace.pause_s

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("ingestion_stopped", exc_info=error)
