"""Runs workflows: their steps in threads of DBOS, what the steps do on our event loop."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, TypeVar

from shared.errors import StorageFull, TwinportError, Unavailable
from shared.logging import get_logger
from tools_api.rag.ingestion.bodies import Body, Work
from tools_api.rag.ingestion.reindex import ReindexWork
from tools_api.rag.ingestion.work import BatchWork, Tools
from tools_api.rag.ingestion.workflows import Steps, Stopped, WorkflowOptions, Workflows
from tools_api.rag.values import Owner

_log = get_logger("rag")

T = TypeVar("T")

Ended = Callable[[str, Work, "TwinportError | None", bool], None]
"""Hears of a workflow's end: its id, its work, what was in the way if something was, and whether it broke."""


class Runner:
    """The workflows that run now, and for whom. `launch` before use; nothing is imported or started before."""

    def __init__(self, tools: Tools, options: WorkflowOptions, ended: Ended) -> None:
        self.launched = False
        self._tools = tools
        self._workflows = Workflows(options, self._body)
        self._hear = ended
        self._loop = asyncio.get_running_loop()
        self._running: dict[str, tuple[Owner, Work]] = {}
        self._futures: set[Future[Any]] = set()
        self._stopping = False

    @property
    def prefix(self) -> str:
        """What the ids of workflows begin with."""
        return self._workflows.prefix

    @property
    def owners(self) -> list[Owner]:
        """For whom workflows run, each as often as there are."""
        return [owner for owner, _ in self._running.values()]

    def reindexes(self, job_id: str) -> bool:
        """Say whether a workflow works on this job of kind `reindex`."""
        return any(isinstance(work, ReindexWork) and work.job_id == job_id for _, work in self._running.values())

    async def launch(self) -> set[str]:
        """Start, take up what an earlier process had begun, and return the ids of those workflows."""
        under_way = await asyncio.to_thread(self._workflows.launch)
        self.launched = True
        for workflow_id, job_id in under_way.items():
            self._work_of(workflow_id, job_id)
        return set(under_way)

    async def start(self, workflow_id: str, owner: Owner, job_id: str = "") -> None:
        """Begin a workflow for a batch of this id, or for a job of kind `reindex`. One that can't begin has ended."""
        self._running[workflow_id] = (owner, self._new(workflow_id, job_id))
        try:
            await asyncio.to_thread(self._workflows.start, workflow_id, job_id)
        except (StorageFull, Unavailable) as obstacle:
            self._ended(workflow_id, obstacle, broke=False)

    def interrupt(self, document_ids: Sequence[str], job_id: str | None) -> None:
        """Let the work on these documents, or on this job, look again at what is left to do."""
        for _, work in self._running.values():
            if not work.documents.isdisjoint(document_ids) or (isinstance(work, ReindexWork) and work.job_id == job_id):
                work.interrupt()

    async def forget_old(self) -> None:
        """Remove what is known of workflows that ended long ago."""
        if self.launched:
            await asyncio.to_thread(self._workflows.forget_old)

    async def aclose(self) -> None:
        """Stop at once. What is under way is taken up at the next launch."""
        self._stopping = True
        for future in list(self._futures):
            future.cancel()
        if self.launched:
            await asyncio.to_thread(self._workflows.close)

    def _new(self, workflow_id: str, job_id: str) -> Work:
        return ReindexWork(job_id, self._tools) if job_id else BatchWork(workflow_id, self._tools)

    def _work_of(self, workflow_id: str, job_id: str) -> Work:
        if workflow_id not in self._running:
            self._running[workflow_id] = (Owner(""), self._new(workflow_id, job_id))
        return self._running[workflow_id][1]

    async def _begun(self, workflow_id: str, job_id: str) -> Work:
        return self._work_of(workflow_id, job_id)

    def _body(self, workflow_id: str, job_id: str, steps: Steps) -> None:
        work = self._on_loop(self._begun(workflow_id, job_id))
        in_the_way: TwinportError | None = None
        broke = True
        try:
            Body(steps, self._on_loop).run(work)
            broke = False
        except (StorageFull, Unavailable) as obstacle:
            in_the_way, broke = obstacle, False
        finally:
            if broke and not self._stopping:
                _log.error("workflow_broke", workflow=workflow_id, exc_info=True)
            if not self._stopping:
                self._loop.call_soon_threadsafe(partial(self._ended, workflow_id, in_the_way, broke=broke))

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

    def _ended(self, workflow_id: str, in_the_way: TwinportError | None, *, broke: bool) -> None:
        _, work = self._running.pop(workflow_id)
        self._hear(workflow_id, work, in_the_way, broke)
