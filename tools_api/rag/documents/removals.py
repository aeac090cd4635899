"""Removals that go on until they are done: when the caller who asked for them has left, and when a disk was full."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from shared.logging import get_logger

_log = get_logger("rag")

AGAIN_S = 15.0

Removal = Callable[[], Coroutine[Any, Any, None]]


class Removals:
    """Runs removals by a key, each once at a time; one that fails is tried again. For one event loop."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    def begin(self, key: str, removal: Removal) -> asyncio.Task[None]:
        """Begin a removal now, or join the one that runs; the task is this try, and raises what it raises."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.cancel()
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(removal())
            task.add_done_callback(lambda done: self._ended(key, removal, done))
        return task

    async def aclose(self) -> None:
        """Wait for removals that are under way; those that wait for another try are left to the next start."""
        self._closed = True
        for waiting in self._waiting.values():
            waiting.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _ended(self, key: str, removal: Removal, task: asyncio.Task[None]) -> None:
        del self._running[key]
        if task.cancelled() or (error := task.exception()) is None:  # asked here: the caller may have left
            return
        _log.error("removal_failed", what=key, error=repr(error))
        if not self._closed:
            self._waiting[key] = asyncio.get_running_loop().call_later(AGAIN_S, self.begin, key, removal)
