"""One server as a child process: started with its log file, asked for its health, stopped with all its children."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from cli.last_words import last_words

_LOG_KEPT_BYTES = 50 * 2**20
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """What to run. `flag` is what changes its port. A server that dies is started again; an `essential` one that dies
    again and again ends the others too."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    health_url: str
    log: Path
    flag: str
    essential: bool


class ServerFailed(Exception):
    """A server did not come up, or an essential one keeps dying; the message holds its last words."""


class ServerProcess:
    """A running server. Make one with `start`."""

    def __init__(self, spec: ServerSpec, process: asyncio.subprocess.Process, log_start: int) -> None:
        self.spec = spec
        self.started = time.monotonic()
        self.healthy_since: float | None = None
        self._process = process
        self._log_start = log_start

    @classmethod
    async def start(cls, spec: ServerSpec) -> "ServerProcess":
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        with spec.log.open("ab") as log:
            position = log.tell()
            process = await asyncio.create_subprocess_exec(
                *spec.command,
                cwd=spec.folder,
                env=dict(spec.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is ours to pass on, in the right order
                preexec_fn=_die_with_parent(),
            )
        return cls(spec, process, position)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @property
    def healthy_s(self) -> float:
        """For how many seconds it has been healthy by now; 0 if it never was."""
        return 0.0 if self.healthy_since is None else time.monotonic() - self.healthy_since

    async def wait(self) -> int:
        """Return the exit status once the server is gone; negative: the signal that ended it."""
        return await self._process.wait()

    async def stop(self, *, grace_s: float, hurry: asyncio.Event) -> None:
        """End the server: SIGTERM, then SIGKILL after `grace_s` seconds or as soon as `hurry` is set."""
        family = self._family()
        if self._process.returncode is None:
            self._process.terminate()
            await self._wait_or_hurry(grace_s, hurry)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        _kill_remaining(family)

    async def _wait_or_hurry(self, grace_s: float, hurry: asyncio.Event) -> None:
        waits = {asyncio.create_task(self._process.wait()), asyncio.create_task(hurry.wait())}
        try:
            await asyncio.wait(waits, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    def _family(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.Error:
            return []

    def last_words(self) -> str:
        """Return the end of what this run wrote to its log, readable."""
        return last_words(self.spec.log, self._log_start)

    def trim_log(self) -> None:
        """Move a log that has grown large to `<name>.1` while it is being written to."""
        trim_log(self.spec.log)


def trim_log(log: Path) -> None:
    """Keep a log below a bound by copy and truncate: the server has it open for appending and goes on at the start.

    One that cannot be trimmed stays as it is: a full disk must not end the servers.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size < _LOG_KEPT_BYTES:
            return
        kept = log.with_name(log.name + ".1")
        kept.write_bytes(log.read_bytes())
        os.truncate(log, 0)


def _die_with_parent() -> Callable[[], None] | None:
    """Return what a child does before it starts so that `kill -9` of the parent ends it too (Linux only)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: little is safe after it
    parent = os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died between fork and prctl
            os.kill(os.getpid(), signal.SIGKILL)

    return in_child


def _kill_remaining(family: list[psutil.Process]) -> None:
    for relative in family:
        with contextlib.suppress(psutil.Error):
            if relative.is_running():  # compares start times, so a reused process id is left alone
                relative.kill()
