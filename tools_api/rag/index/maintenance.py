"""What happens to a collection in the background: sealing, merging, rewriting, and overwriting what was deleted."""

import asyncio
import time
from contextlib import suppress

from shared.logging import get_logger
from tools_api.rag.index.dense import Built
from tools_api.rag.index.failures import logged_failures
from tools_api.rag.index.generations import clear_old_vectors
from tools_api.rag.index.kinds import BuildStopped
from tools_api.rag.index.opened import OpenCollection
from tools_api.rag.index.plan import Work
from tools_api.rag.index.truth import Changes
from tools_api.rag.index.values import UNFINISHED_MARK

_RETRY_S = 30.0
_NOTHING_DUE_S = 3600.0
_READER_PAUSE_S = 0.05
_PURGE_SHARE = 9.0
"""Pauses between purges by themselves are at least so many times as long as the last one was: in a large collection one
writes many words anew, and takes a tenth of the time at most."""


_log = get_logger("rag.index")


class Maintenance:
    """Works whenever the collection changed and something is due, until `aclose`."""

    def __init__(self, opened: OpenCollection) -> None:
        self._opened = opened
        self._wake = asyncio.Event()
        self._less = asyncio.Condition()
        self._turn = asyncio.Lock()
        self._deleted_first: float | None = None
        self._deleted_last = 0.0
        self._purge_again_at = 0.0
        if opened.words_to_purge:
            self._note_deletion()
        opened.on_change = self._on_change
        self._wake.set()
        self._running = asyncio.create_task(self._run())
        self._running.add_done_callback(_log_end)

    async def settle(self) -> None:
        """Do now what is due, and return when it is done. Raises `StorageFull`."""
        async with self._turn:
            await self._write_segments(purge=False)

    async def purge(self) -> None:
        """Return when nothing of what is deleted is left in any file. Raises `StorageFull`."""
        async with self._turn:
            await self._purge()
            await self._write_segments(purge=True)
            await self._opened.write(self._mark)

    async def room(self) -> None:
        """Wait while the newest vectors are too many in memory."""
        while self._opened.crowded and not self._running.done():
            self._wake.set()
            async with self._less:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._less.wait(), 1)

    def wake(self) -> None:
        """Look at once for what is due."""
        self._wake.set()

    def alone(self) -> asyncio.Lock:
        """Enter it to keep segments from being written."""
        return self._turn

    async def aclose(self) -> None:
        """End soon, also while a segment is built. Words of what was deleted have left the files then."""
        self._opened.dense.stopped = True
        self._wake.set()
        await asyncio.wait([self._running])
        with logged_failures(self._opened.folder.name):
            if self._deleted_first is not None:
                await self._purge_texts()
            await self._opened.write(self._mark)

    def _on_change(self, changes: Changes) -> None:
        if changes.removed:
            self._note_deletion()
        self._wake.set()

    def _note_deletion(self) -> None:
        self._deleted_last = time.monotonic()
        self._deleted_first = self._deleted_first or self._deleted_last

    async def _run(self) -> None:
        pause_s = 0.0
        while not self._opened.dense.stopped:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause_s)
            self._wake.clear()
            pause_s = _RETRY_S
            with logged_failures(self._opened.folder.name), suppress(BuildStopped):
                await self._round()
                pause_s = self._pause_s()

    async def _round(self) -> None:
        async with self._turn:
            await self._write_segments(purge=False)
            await clear_old_vectors(self._opened)
            if self._purge_due_s() == 0:
                started = time.monotonic()
                await self._purge()
                self._purge_again_at = time.monotonic() + _PURGE_SHARE * (time.monotonic() - started)

    def _pause_s(self) -> float:
        due = [pause for pause in (self._purge_due_s(), self._opened.dense.rewrite_due_s()) if pause is not None]
        return min(due, default=_NOTHING_DUE_S)

    def _purge_due_s(self) -> float | None:
        if self._deleted_first is None:
            return None
        options = self._opened.options
        at = min(self._deleted_last + options.purge_after_s, self._deleted_first + options.purge_at_most_after_s)
        return max(0.0, at - time.monotonic(), self._purge_again_at - time.monotonic())

    async def _write_segments(self, *, purge: bool) -> None:
        opened = self._opened
        while work := opened.dense.next_work(opened.index_type, purge=purge):
            built = await self._built(work)
            await opened.write(lambda built=built: opened.dense.swap(built))
            async with self._less:
                self._less.notify_all()

    async def _built(self, work: Work) -> Built:
        opened = self._opened
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(opened.threads.background, opened.dense.build, work, opened.index_type)

    async def _purge(self) -> None:
        await self._purge_texts()
        opened = self._opened
        await clear_old_vectors(opened)
        while not opened.dense.stopped:
            if await opened.write(opened.truth.tidy):
                break
            await asyncio.sleep(_READER_PAUSE_S)  # no event tells that a reader is done
        while not opened.dense.stopped and await opened.write(opened.truth.shrink):
            pass

    async def _purge_texts(self) -> None:
        opened, first = self._opened, self._deleted_first
        self._deleted_first = None
        try:
            if upto := await opened.write(lambda: opened.truth.words_to_purge):
                await opened.words.reach(upto)
                await opened.words.purge()
                await opened.write(lambda: opened.truth.words_are_purged(upto))
        except BaseException:
            self._deleted_first = first
            raise

    def _mark(self) -> None:
        mark = self._opened.folder / UNFINISHED_MARK
        if self._deleted_first is not None or self._opened.dense.dead_share:
            mark.touch()
        else:
            mark.unlink(missing_ok=True)


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("upkeep_ended", error=repr(error))
