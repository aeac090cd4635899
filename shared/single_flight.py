"""Let callers who want the same thing at the same time share one attempt at it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Run `attempt` once for all who ask while it runs; the next to ask afterwards starts a new one.

    A caller who goes away does not stop the attempt for the others. Errors reach everyone who waits.
    """

    def __init__(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._attempt = attempt
        self._task: asyncio.Task[T] | None = None

    async def result(self) -> T:
        """Join the running attempt, or start one."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._attempt())
            self._task.add_done_callback(_retrieve)
        return await asyncio.shield(self._task)

    async def aclose(self) -> None:
        """Cancel a running attempt and wait until it is gone."""
        if self._task is None or self._task.done():
            return
        self._task.cancel()
        await asyncio.wait([self._task])


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Mark an error as seen: when every caller went away, nobody is left to be told."""
    if not task.cancelled():
        task.exception()
