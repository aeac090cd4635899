"""Brings the index of words up to the truth: at the start what it missed, then change by change, many in one commit."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from shared.logging import get_logger
from shared.single_flight import SingleFlight
from tools_api.rag.index import reading
from tools_api.rag.index.reading import Readers, joined_ranges
from tools_api.rag.index.words_view import EVERYTHING, IdRange, WordsView
from tools_api.rag.values import ScoredChunk

T = TypeVar("T")

_log = get_logger("rag.index")

_CHANGES_AT_ONCE = 20_000


class WordsApplier:
    """Owns the view of the words of one collection. `catch_up` before use.

    Whoever changed something waits in `reach`; while one round is committed, the changes of all others gather for the
    next one.
    """

    def __init__(self, view: WordsView, readers: Readers, executor: Executor) -> None:
        self._view = view
        self.readers = readers
        self._executor = executor
        self._turn = asyncio.Lock()
        self._round = SingleFlight(self._apply_round)
        self.applied = view.applied_upto()

    def search(self, query: str, k: int, allowed: list[IdRange] | None) -> list[ScoredChunk]:
        """Search the last commit. Blocking."""
        return self._view.search(query, k, allowed)

    def most(self, query: str) -> float:
        """Return the score that no chunk's text can pass for this question. Blocking."""
        return self._view.most(query)

    async def catch_up(self) -> None:
        """Apply what happened while the view was closed, or everything if it is new or lost too much."""
        await self._alone(self._fill_if_lost)
        await self.reach(await self._in_thread(self._last_change))

    async def reach(self, upto: int) -> None:
        """Return when the change of that number can be found by words. Raises `StorageFull`."""
        while self.applied < upto:
            await self._round.result()

    async def purge(self) -> None:
        """Return when nothing of what was removed is left in the view's files. Changes are applied in between."""
        while await self._alone(self._view.purge):
            pass

    async def aclose(self) -> None:
        """Let a running commit end, and close the view."""
        await self._alone(self._view.close)

    async def _apply_round(self) -> None:
        await self._alone(self._apply)

    async def _alone(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await self._in_thread(work)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _apply(self) -> None:
        with self.readers.use() as db:
            changes = reading.changes_after(db, self.applied, _CHANGES_AT_ONCE)
            if not changes:
                return
            added = [(first, end) for _, first, end, came in changes if came]
            removed = [(first, end) for _, first, end, came in changes if not came]
            rows = reading.words_rows(db, joined_ranges(sorted(added)))
            self._view.apply(rows, joined_ranges(sorted(removed)), changes[-1][0])
        self.applied = changes[-1][0]

    def _fill_if_lost(self) -> None:
        with self.readers.use() as db:  # nobody writes while a collection is being opened
            last = reading.last_change(db)
            if reading.changes_from(db) <= self.applied <= last:
                return
            _log.warning("words_filled_anew", applied=self.applied, last=last)
            self._view.apply(reading.words_rows(db, reading.live_ranges(db)), [EVERYTHING], last)
        self.applied = last

    def _last_change(self) -> int:
        with self.readers.use() as db:
            return reading.last_change(db)
