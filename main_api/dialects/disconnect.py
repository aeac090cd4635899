"""Cancel the work of a request when its caller goes away.

Starlette notices a disconnect only while it streams, and an endpoint that computes a plain answer runs to its end for
nobody. Here the connection is watched from the moment the body is read until the answer is out.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from shared.errors import ClientDisconnected

T = TypeVar("T")


async def cancel_on_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Await `work` in a task of its own; cancel it and raise `ClientDisconnected` if the caller leaves first.

    The request's body must have been read: the next message on `receive` is then the disconnect.
    """
    task = asyncio.create_task(work)
    watcher = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait((task, watcher), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnected("The caller closed the connection.")
    finally:
        watcher.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
