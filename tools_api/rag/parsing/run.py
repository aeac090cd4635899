"""One sandboxed run over a few files: what it says becomes results as it comes, and its end says what went wrong."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from tools_api.rag.parsing.failures import failure_of, forged, timed_out, unavailable
from tools_api.rag.parsing.lines import DocumentReader, Forged, LineBuffer, read_line
from tools_api.rag.parsing.values import Bounds, Result
from tools_api.sandbox import Job, Outcome, Sandbox, SandboxBusy, SandboxUnavailable

_GRACE_S = 2.0
_LEAVES_WITHIN_S = 0.5
_STOPPED = "The server was stopped before it came to this file."


@dataclass(slots=True)
class _Progress:
    """Which of the files the run is at, and since when."""

    total: int
    current: int = -1
    reader: DocumentReader | None = None
    since: float = field(default_factory=time.monotonic)

    @property
    def between(self) -> bool:
        return self.reader is None

    @property
    def is_done(self) -> bool:
        return self.between and self.current == self.total - 1


class ParsingRun:
    """Parses the files of `job`, `total` of them, in their order. Use once."""

    def __init__(self, sandbox: Sandbox, job: Job, *, total: int, bounds: Bounds, chunk_tokens: int) -> None:
        self._sandbox = sandbox
        self._job = job
        self._bounds = bounds
        self._chunk_tokens = chunk_tokens
        self._heard: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._progress = _Progress(total)
        self._lines = LineBuffer()

    async def results(self) -> AsyncGenerator[tuple[int, Result]]:
        """Yield the number and the result of each file that came to one; the others had no turn.

        The first file always comes to one. Leaving it stops the run.
        """
        running = asyncio.create_task(self._run())
        try:
            async for result in self._told(running):
                yield result
            if self._progress.is_done:
                await asyncio.wait({running}, timeout=_LEAVES_WITHIN_S)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _run(self) -> Outcome:
        try:
            return await self._sandbox.run(self._job, on_output=self._hear)
        finally:
            self._heard.put_nowait(None)

    def _hear(self, stream: str, piece: bytes) -> None:
        if stream == "stdout":
            self._heard.put_nowait(piece)

    async def _told(self, running: asyncio.Task[Outcome]) -> AsyncGenerator[tuple[int, Result]]:
        progress = self._progress
        try:
            while not progress.is_done:
                piece = await self._next_piece()
                if piece is None:
                    break
                for line in self._lines.add(piece):
                    if (result := self._read(line)) is not None:
                        yield progress.current, result
        except TimeoutError:
            yield progress.current, timed_out(self._bounds)
            return
        except Forged as error:
            if not progress.between or progress.current < 0:
                yield max(progress.current, 0), forged(str(error))
            return  # between two files it says nothing of either: the next one has its turn in another run
        if not progress.is_done:
            for result in await self._end(running):
                yield result

    async def _next_piece(self) -> bytes | None:
        """Wait for what is said next. Raises `TimeoutError` if the file that it is at has had its time."""
        progress = self._progress
        if progress.between:
            return await self._heard.get()
        left = progress.since + self._bounds.timeout_s + _GRACE_S - time.monotonic()
        if not self._heard.empty():
            return self._heard.get_nowait()
        async with asyncio.timeout(max(0.0, left)):
            return await self._heard.get()

    def _read(self, line: bytes) -> Result | None:
        """Read a line; return the result of the file that it completes. Raises `Forged`."""
        progress = self._progress
        if progress.reader is None:
            if read_line(line) != {"file": progress.current + 1} or progress.is_done:
                raise Forged("a file out of turn")
            progress.current += 1
            progress.reader = DocumentReader(progress.current, self._bounds, self._chunk_tokens)
            progress.since = time.monotonic()
            return None
        result = progress.reader.read(line)
        if result is not None:
            progress.reader = None
        return result

    async def _end(self, running: asyncio.Task[Outcome]) -> list[tuple[int, Result]]:
        """Say what the run's end means for the file that it was at; nothing if that may have been another's fault."""
        progress = self._progress
        try:
            outcome = await running
        except (SandboxUnavailable, SandboxBusy) as error:
            start = progress.current + progress.between
            return [(number, unavailable(error.message)) for number in range(start, progress.total)]
        at = max(progress.current, 0)
        if progress.between and progress.current >= 0:
            return []  # it ended between two files, and has finished one
        if outcome.limit is not None and at > 0:
            return []  # it has used what the files before it left over: it has its turn first in another run
        return [(at, failure_of(outcome, self._bounds))]
