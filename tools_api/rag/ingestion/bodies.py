"""The two workflows: which steps in which order. What they return is kept, and a step that returned is not run again.

Changing the order or what a step returns needs another version in `workflows.py`: a workflow that an earlier release
began would be gone on with by other rules.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tools_api.rag.ingestion.reindex import ReindexWork
from tools_api.rag.ingestion.work import BatchWork
from tools_api.rag.ingestion.workflows import Steps

T = TypeVar("T")

Work = BatchWork | ReindexWork


class Body:
    """Runs the steps of a workflow in a thread; `on_loop` has the work done on the event loop."""

    def __init__(self, steps: Steps, on_loop: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._steps = steps
        self._on_loop = on_loop

    def run(self, work: Work) -> None:
        """Run a workflow to its end."""
        if isinstance(work, ReindexWork):
            self._reindex(work)
        else:
            self._ingest(work)

    def _ingest(self, work: BatchWork) -> None:
        for documents, large in self._step("parse", work.parse):
            while large and self._step("embed", lambda: work.embed(documents[0])):  # noqa: B023 - run at once
                pass
            self._step("index", lambda: work.index(documents))  # noqa: B023

    def _reindex(self, work: ReindexWork) -> None:
        while self._step("fill", work.fill):
            pass
        self._step("finish", work.finish)

    def _step(self, name: str, step: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._steps.run(name, lambda: self._on_loop(step()))
