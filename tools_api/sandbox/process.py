"""A started sandbox as the host holds it: a process, its pipes, and how it ends. Which job it does is not its business.

There are two kinds of it: `BubblewrapProcess` is the cold one, started for one run; `warm/worker.py` has the warm one.
"""

import asyncio
import contextlib
import os
import signal
from typing import Protocol

from shared.logging import get_logger
from tools_api.sandbox.process_tree import descendants, kernel_uids
from tools_api.sandbox.protocol import HELLO

_log = get_logger(__name__)

_PIECE = 1 << 16
_START_TIMEOUT_S = 10.0
_LEAVING_S = 0.2
_ENDING_S = 5.0


class SandboxBroken(Exception):
    """The sandbox did not come up, or not as it must; the message says why, for bubblewrap in its own last line."""


class SandboxProcess(Protocol):
    """What a run needs of a sandbox. The supervisor inside reads jobs from `stdin` and answers through `result`."""

    @property
    def pid(self) -> int:
        """The process, as the host numbers it, whose descendants are what runs inside."""
        ...

    @property
    def stdin(self) -> asyncio.StreamWriter: ...

    @property
    def stdout(self) -> asyncio.StreamReader: ...

    @property
    def stderr(self) -> asyncio.StreamReader: ...

    @property
    def result(self) -> asyncio.StreamReader:
        """What comes after the supervisor's `HELLO`, which `until_ready` takes."""
        ...

    async def until_ready(self) -> None:
        """Wait until the restrictions hold. Raises `SandboxBroken` if they never do."""
        ...

    async def ended(self) -> None:
        """Let it end by itself, for a moment."""
        ...

    def kill(self) -> None:
        """Kill it and all that runs in it; may be called at any time, and again."""
        ...

    async def gone(self) -> None:
        """Kill it and wait until nothing of it is left."""
        ...


class BubblewrapProcess:
    """A bwrap that was started for one run, with a pipe for the supervisor's answer besides its three own."""

    def __init__(self, process: asyncio.subprocess.Process, result: asyncio.StreamReader) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise SandboxBroken("it has no pipes")
        self._process = process
        self.stdin = process.stdin
        self.stdout = process.stdout
        self.stderr = process.stderr
        self.result = result

    @property
    def pid(self) -> int:
        return self._process.pid

    async def until_ready(self) -> None:
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                hello = await self.result.read(len(HELLO))
        except TimeoutError:
            hello = b""
        if hello == HELLO:
            self.check()
            return
        self.kill()
        said = await self.stderr.read(_PIECE)
        lines = said.decode("utf-8", "replace").strip().splitlines()
        raise SandboxBroken(lines[-1][:300] if lines else "it ended without a word")

    def check(self) -> None:
        """Have the kernel confirm what the supervisor claims. Raises `SandboxBroken`."""
        if 0 in kernel_uids(self.pid):
            raise SandboxBroken("it runs as the kernel's uid 0")

    async def ended(self) -> None:
        """Killed, bwrap would leave its dead to the machine's init."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING_S):
                await self._process.wait()

    def kill(self) -> None:
        kill_bubblewrap(self._process)

    async def gone(self) -> None:
        self.kill()
        self.stdin.close()  # a supervisor that waits for its job ends with it
        try:
            async with asyncio.timeout(_ENDING_S):
                for reader in (self.stdout, self.stderr, self.result):
                    # asyncio learns of an exit only when the pipes are at their end; little is left in them
                    while await reader.read(_PIECE):
                        pass
                await self._process.wait()
        except TimeoutError:  # a process that can't be killed waits for the machine's disk; no caller should
            _log.error("sandbox_survived_its_end", pid=self.pid)


def kill_bubblewrap(process: asyncio.subprocess.Process) -> None:
    """Kill a bwrap, its process group and its children; the kernel takes the sandbox's pid namespace along.

    bwrap alone would do once it stands. While it starts, its child is for some moments not yet bound to its life:
    first it shares the group, then it has a session of its own and is only found as a child. Not by `Process.kill`,
    which polls, and so takes the exit status away from asyncio's child watcher.
    """
    if process.returncode is not None:
        return
    children = list(descendants(process.pid))
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for child in children:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(child, signal.SIGKILL)
