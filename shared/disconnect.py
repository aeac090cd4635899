"""Stop working when the caller has gone: neither FastAPI nor uvicorn does that for an answer that is not streamed.

Watching costs a task, and most answers are out before anybody could lose patience; so it begins after a moment.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.types import Receive

from shared.errors import ClientDisconnected

T = TypeVar("T")

_WATCH_AFTER_S = 0.05


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """Await `work` in this task, cancelling it when the connection is closed. Raises `ClientDisconnected` then.

    The body must have been read: what `receive` says next can only be that the caller left.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this is a coroutine, so there is one
    watch = _Watch(receive, task)
    timer = asyncio.get_running_loop().call_later(_WATCH_AFTER_S, watch.begin)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.caller_left and task.cancelling() == 1:
            raise ClientDisconnected("The caller closed the connection.") from None
        raise
    finally:
        timer.cancel()
        watch.end()


class _Watch:
    """Cancels a task when `receive` reports a disconnect. It only can while the task waits inside the watched work."""

    def __init__(self, receive: Receive, task: asyncio.Task[Any]) -> None:
        self._receive = receive
        self._task = task
        self._watcher: asyncio.Task[None] | None = None
        self.caller_left = False

    def begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    def end(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        if self.caller_left:
            self._task.uncancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.caller_left = True
        self._task.cancel()
