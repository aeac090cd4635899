"""How many calls of one service run at a time, so that no service starves another."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from shared.errors import RateLimited


class CallerSlots:
    """`running` calls of a caller at once, `waiting` more in line (in order), and no further ones."""

    def __init__(self, *, running: int, waiting: int) -> None:
        self._running = running
        self._most = running + waiting
        self._semaphores: dict[str, asyncio.Semaphore] = {}
        self._present: Counter[str] = Counter()

    @asynccontextmanager
    async def slot(self, caller: str) -> AsyncGenerator[None]:
        """Wait for a slot and hold it. Raises `RateLimited` when too many wait already."""
        if self._present[caller] >= self._most:
            raise RateLimited("This service has too many tool calls open at once; try again shortly.", retry_after=1)
        semaphore = self._semaphores.setdefault(caller, asyncio.Semaphore(self._running))
        self._present[caller] += 1
        try:
            async with semaphore:
                yield
        finally:
            self._present[caller] -= 1
            if not self._present[caller]:
                del self._present[caller]
                del self._semaphores[caller]
