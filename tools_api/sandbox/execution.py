"""One job in a started sandbox: feed it, drain it, watch it, and leave nothing of it behind.

Nothing here is believed: pipes are read up to a cap, then the run ends; time is kept outside as well as inside.
"""

import asyncio
import functools
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tools_api.sandbox.cgroup import Cgroup
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job, LimitName, Outcome, OutputListener, StoredFile
from tools_api.sandbox.process import SandboxProcess
from tools_api.sandbox.protocol import HELLO, Answer, BrokenAnswer, decode_answer, encode_job, max_answer_bytes
from tools_api.sandbox.verdict import make_outcome
from tools_api.sandbox.watchdog import Watchdog

_PIECE = 1 << 16
_STORED_PIECE = 1 << 20
_COLLECTING_S = 0.45
"""What the supervisor gets beyond the wall time to kill the job and hand its files over."""

MakeWatchdog = Callable[[int, Limits, Cgroup | None], Watchdog]
"""Makes what watches the descendants of a process."""


@dataclass(slots=True)
class Pipe:
    """What has come through one pipe, at most `limit` bytes of it; who `listens` hears of them as they come.

    One that does not keep them only counts what has `passed`.
    """

    limit: int
    content: bytearray = field(default_factory=bytearray)
    listens: Callable[[bytes], None] | None = None
    keeps: bool = True
    passed: int = 0

    def add(self, piece: bytes) -> bool:
        """Take what fits; say whether it all did."""
        taken = len(self.content) + self.passed
        fits = taken + len(piece) <= self.limit
        kept = piece[: self.limit - taken]
        if self.keeps:
            self.content += kept
        else:
            self.passed += len(kept)
        if self.listens and kept:
            self.listens(kept)
        return fits


class Execution:
    """A started sandbox that does one job."""

    def __init__(self, process: SandboxProcess, limits: Limits, *, watch: MakeWatchdog = Watchdog) -> None:
        self._process = process
        self._limits = limits
        self._watch = watch
        self._stdout = Pipe(limits.output_bytes)
        self._stderr = Pipe(limits.output_bytes)
        self._answer = Pipe(max_answer_bytes(limits), bytearray(HELLO))  # which `until_ready` has taken

    @property
    def process(self) -> SandboxProcess:
        """The sandbox itself, for who wants to talk to it in another way."""
        return self._process

    async def until_ready(self) -> None:
        """Wait until the restrictions hold. Raises `SandboxBroken` if they never do."""
        await self._process.until_ready()

    async def do(self, job: Job, cgroup: Cgroup | None, on_output: OutputListener | None = None) -> Outcome:
        """Run the job to its end or to its first limit; `on_output` hears what it prints, as far as it is kept."""
        if on_output:
            self._stdout.listens = functools.partial(on_output, "stdout")
            self._stderr.listens = functools.partial(on_output, "stderr")
        self._stdout.keeps = self._stderr.keeps = job.keeps_output
        started = time.monotonic()
        watchdog = self._watch(self._process.pid, self._limits, cgroup)
        limit = await self._until_done(job, watchdog)
        if limit is None:
            await self._process.ended()
        self._process.kill()
        if cgroup:
            await watchdog.read()
        return make_outcome(
            self._decoded(),
            limit=limit,
            usage=watchdog.usage,
            processes=watchdog.processes,
            wall_s=time.monotonic() - started,
            stdout=bytes(self._stdout.content),
            stderr=bytes(self._stderr.content),
        )

    async def gone(self) -> None:
        """Kill the sandbox and wait for its end."""
        await self._process.gone()

    async def _until_done(self, job: Job, watchdog: Watchdog) -> LimitName | None:
        """Race the job's end against its limits; return the limit that won."""
        work = asyncio.ensure_future(self._talk(job))
        watch = asyncio.ensure_future(watchdog.wait_for_breach())
        try:
            done, _ = await asyncio.wait(
                {work, watch}, timeout=self._limits.wall_s + _COLLECTING_S, return_when=asyncio.FIRST_COMPLETED
            )
            if work in done:
                return work.result()
            return watch.result() if watch in done else "timeout"
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _talk(self, job: Job) -> LimitName | None:
        """Feed the job and drain the pipes until all are closed, or one overflows."""
        process = self._process
        feeding = asyncio.ensure_future(_feed(process.stdin, encode_job(job, self._limits), job.stored))
        draining = [
            asyncio.ensure_future(_drain(reader, pipe))
            for reader, pipe in (
                (process.stdout, self._stdout),
                (process.stderr, self._stderr),
                (process.result, self._answer),
            )
        ]
        try:
            for finished in asyncio.as_completed(draining):
                if not await finished:
                    return "output"
            return None
        finally:
            for task in (feeding, *draining):
                task.cancel()
            await asyncio.gather(feeding, *draining, return_exceptions=True)

    def _decoded(self) -> Answer | None:
        try:
            return decode_answer(bytes(self._answer.content), self._limits)
        except BrokenAnswer:
            return None  # the run was killed, or killed its supervisor: there is no result, and that is the result


async def _feed(stdin: asyncio.StreamWriter, pieces: Sequence[bytes], stored: Sequence[StoredFile]) -> None:
    try:
        for piece in pieces:
            stdin.write(piece)
            await stdin.drain()
        for file in stored:
            async for piece in _pieces_of(file):
                stdin.write(piece)
                await stdin.drain()
        stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        return  # it ended before it had read everything


async def _pieces_of(file: StoredFile) -> AsyncGenerator[bytes]:
    """Yield exactly as many bytes as were announced; what is missing is NUL."""
    left = file.size
    opened = await asyncio.to_thread(_opened, file.path)
    try:
        while left > 0:
            piece = await asyncio.to_thread(opened.read, min(left, _STORED_PIECE)) if opened else b""
            piece = piece or bytes(min(left, _STORED_PIECE))
            left -= len(piece)
            yield piece
    finally:
        if opened:
            opened.close()


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except OSError:
        return None


async def _drain(reader: asyncio.StreamReader, pipe: Pipe) -> bool:
    """Read to the end; False as soon as there is more than the pipe keeps."""
    while piece := await reader.read(_PIECE):
        if not pipe.add(piece):
            return False
    return True
