"""A fork of the zygote as the host holds it: a `SandboxProcess` that is known by a descriptor of the kernel's."""

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from shared.logging import get_logger
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.pipes import reader_of, writer_of
from tools_api.sandbox.process import SandboxBroken
from tools_api.sandbox.protocol import HELLO
from tools_api.sandbox.warm.inspection import pid_behind

_log = get_logger(__name__)

_PIECE = 1 << 16
_ENDING_S = 5.0
_GO = b"G"


@dataclass(slots=True)
class WorkerPipes:
    """Our ends of a worker's four pipes, and for as long as they are on their way `theirs`: stdin, stdout, stderr and
    the one for answers."""

    stdin: asyncio.StreamWriter
    readers: list[asyncio.StreamReader]
    transports: list[asyncio.BaseTransport]
    theirs: list[int]

    @classmethod
    async def make(cls) -> Self:
        """Make them and connect our ends."""
        stdin_read, stdin_write = os.pipe()
        pairs = [os.pipe() for _ in range(3)]
        connected = [await reader_of(read) for read, _ in pairs]
        stdin = await writer_of(stdin_write)
        theirs = [stdin_read, *(write for _, write in pairs)]
        return cls(stdin, [reader for reader, _ in connected], [transport for _, transport in connected], theirs)

    def sent(self) -> None:
        """Close the ends that are not ours."""
        while self.theirs:
            os.close(self.theirs.pop())

    def close(self) -> None:
        """Close everything."""
        self.sent()
        self.stdin.close()
        for transport in self.transports:
            transport.close()


class WarmWorker:
    """One fork, used once. `on_gone` is told when nothing of it is left."""

    def __init__(self, pidfd: int, pipes: WorkerPipes, limits: Limits, on_gone: Callable[["WarmWorker"], None]) -> None:
        self._pidfd = pidfd
        self._pipes = pipes
        self._rlimits = limits.as_rlimits()
        self._on_gone = on_gone
        self._closed = False
        self._going: asyncio.Future[None] | None = None
        self.pid = pid_behind(pidfd)
        self.stdin = pipes.stdin
        self.stdout, self.stderr, self.result = pipes.readers

    @property
    def alive(self) -> bool:
        """Say whether it still runs; while it does, `pid` is its own and nobody else's."""
        return not self._closed and not _readable(self._pidfd)

    async def go(self) -> None:
        """Let it drop its privileges, and wait until it has. Raises `SandboxBroken` with what it says instead."""
        self.stdin.write(_GO)
        if await self.result.read(len(HELLO)) == HELLO:
            return
        lines = (await self.stderr.read(_PIECE)).decode("utf-8", "replace").strip().splitlines()
        raise SandboxBroken(lines[-1][:300] if lines else "a fork of the zygote ended without a word")

    def tighten(self, limits: Limits) -> None:
        """Have it lower the limits of each process to those of the job that comes next; once, and never left out.

        It does that itself: `prlimit` from outside is refused to a root without CAP_SYS_RESOURCE, as in containers.
        """
        text = limits.as_rlimits()
        text = "" if text == self._rlimits else text
        self.stdin.write(len(text).to_bytes(2, "big") + text.encode())

    async def until_ready(self) -> None:
        """Has been, before it was given to anyone."""

    async def ended(self) -> None:
        """Need not end by itself: its dead are the zygote's box's, killed or not."""

    def kill(self) -> None:
        """Kill the first process of its pid namespace; the kernel takes the others along."""
        if not self._closed:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def gone(self) -> None:
        # once, whoever calls it and however often: a descriptor that is closed twice may be somebody else's by then
        if self._going is None:
            self._going = asyncio.ensure_future(self._let_go())
        await asyncio.shield(self._going)

    async def _let_go(self) -> None:
        self.kill()
        try:
            async with asyncio.timeout(_ENDING_S):
                await _until_readable(self._pidfd)
        except TimeoutError:
            _log.error("sandbox_survived_its_end", pid=self.pid)
        self._closed = True
        self._pipes.close()
        os.close(self._pidfd)
        self._on_gone(self)


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


async def _until_readable(descriptor: int) -> None:
    if _readable(descriptor):
        return
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, tell)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
