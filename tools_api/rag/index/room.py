"""How many collections are open at the same time: each takes about eight descriptors of the process and a thread."""

import asyncio
import time
from typing import Protocol

from tools_api.rag.index.failures import logged_failures

_PATIENCE_S = 10.0
"""So long one waits while all that are open are in use; then it is opened beside them."""

_CLOSING_S = 1.0
"""So long one waits for the one that is closed before another is closed too; it may have a segment to finish."""


class Closable(Protocol):
    """A collection that can be closed while nobody uses it."""

    @property
    def in_use(self) -> bool:
        """Whether a call needs its files now."""
        ...

    @property
    def used_at(self) -> float:
        """When a call last needed its files, on the monotonic clock."""
        ...

    async def rest(self) -> bool:
        """Close its files unless a call needs them."""
        ...


class Room:
    """Room for `most` open collections. Who comes when it is full has one closed that was unused the longest."""

    def __init__(self, most: int, *, patience_s: float = _PATIENCE_S) -> None:
        self._most = most
        self._patience_s = patience_s
        self._taken: set[Closable] = set()
        self._closing: dict[Closable, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    async def take(self, one: Closable) -> None:
        """Wait until there is room, and take it. Everybody who takes it gives it back."""
        until = time.monotonic() + self._patience_s
        while len(self._taken) >= self._most and (left := until - time.monotonic()) > 0:
            self._changed.clear()
            unused = [each for each in self._taken if not each.in_use and each not in self._closing]
            if unused:
                longest = min(unused, key=lambda each: each.used_at)
                await asyncio.wait({self._close(longest)}, timeout=min(left, _CLOSING_S))
            else:
                await self._change(left)
        self._taken.add(one)

    def give_back(self, one: Closable) -> None:
        """Say that it is closed."""
        self._taken.discard(one)
        self._changed.set()

    def unused(self) -> None:
        """Say that one is no longer in use."""
        self._changed.set()

    async def aclose(self) -> None:
        """Wait for those that are being closed."""
        if self._closing:
            await asyncio.wait(self._closing.values())

    def _close(self, one: Closable) -> asyncio.Task[None]:
        """Close one in a task of its own: it is not left half closed when who waits for it goes away."""
        task = asyncio.create_task(_rest(one))
        self._closing[one] = task
        task.add_done_callback(lambda _: self._closed(one))
        return task

    def _closed(self, one: Closable) -> None:
        del self._closing[one]
        self._changed.set()

    async def _change(self, within_s: float) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), within_s)
        except TimeoutError:
            return


async def _rest(one: Closable) -> None:
    with logged_failures("one that makes room"):
        await one.rest()
