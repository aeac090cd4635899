"""Warm worker processes for the calculator: one computes, another stands ready when the first had to be killed.

Each evaluation gets `limit_s` of wall time; a worker that overruns, dies or whose caller left is killed and replaced
in the background. Nothing of one evaluation can reach the next but through a worker that answered properly.
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from shared.logging import get_logger

_log = get_logger("calculator")
_ROOT = Path(__file__).resolve().parents[2]
_MAX_REPLY_BYTES = 1024 * 1024
_START_TIMEOUT_S = 60.0
_RETRY_S = 1.0


class WorkerLost(Exception):
    """The worker died while it computed."""


class WorkerPool:
    """`size` processes. Use as an async context manager; entering returns at once, the workers warm up behind."""

    def __init__(self, *, size: int = 2, limit_s: float = 1.0) -> None:
        self._size = size
        self._limit_s = limit_s
        self._idle: asyncio.Queue[Process] = asyncio.Queue()
        self._alive: set[Process] = set()
        self._starting: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for _ in range(self._size):
            self._start_another()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        for worker in list(self._alive):
            await self._end(worker)

    async def evaluate(self, expression: str) -> dict[str, Any]:
        """Return the worker's answer. Raises `TimeoutError` after `limit_s` of computing, `WorkerLost` if it dies.

        Waiting for a free worker is not limited here: the caller has a deadline.
        """
        worker = await self._idle.get()
        answered = False
        try:
            async with asyncio.timeout(self._limit_s):
                reply = await _ask(worker, expression)
            answered = True
            return reply
        finally:
            if answered:
                self._idle.put_nowait(worker)
            else:
                _kill(worker)
                self._start_another(instead_of=worker)

    def pids(self) -> list[int]:
        """Return the process ids of the live workers."""
        return [worker.pid for worker in self._alive]

    def _start_another(self, instead_of: Process | None = None) -> None:
        task = asyncio.create_task(self._start(instead_of))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start(self, instead_of: Process | None) -> None:
        if instead_of is not None:
            await self._end(instead_of)
        while True:
            worker = None
            try:
                worker = await _spawn()
                self._alive.add(worker)
                await _ready(worker)
            except (OSError, TimeoutError, WorkerLost) as error:
                _log.error("calculator_worker_failed", error=repr(error))
                if worker is not None:
                    await self._end(worker)
                await asyncio.sleep(_RETRY_S)
            else:
                self._idle.put_nowait(worker)
                return

    async def _end(self, worker: Process) -> None:
        _kill(worker)
        await worker.wait()
        self._alive.discard(worker)


async def _spawn() -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tools_api.calculator.worker",
        stdin=PIPE,
        stdout=PIPE,
        cwd=_ROOT,
        env={"PATH": os.defpath, "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"},
        start_new_session=True,  # Ctrl-C in a terminal is for the server, which then ends its workers
        limit=_MAX_REPLY_BYTES,
    )


async def _ready(worker: Process) -> None:
    assert worker.stdout is not None  # noqa: S101 -- both are pipes; this is for the type checker
    async with asyncio.timeout(_START_TIMEOUT_S):
        if not await worker.stdout.readline():
            raise WorkerLost("it ended while it started")


async def _ask(worker: Process, expression: str) -> dict[str, Any]:
    assert worker.stdin is not None  # noqa: S101
    assert worker.stdout is not None  # noqa: S101
    worker.stdin.write(orjson.dumps({"expression": expression}) + b"\n")
    try:
        await worker.stdin.drain()
        line = await worker.stdout.readline()
    except (ConnectionError, ValueError) as error:  # ValueError: a line over the limit
        raise WorkerLost(str(error)) from error
    if not line.endswith(b"\n"):
        raise WorkerLost("it ended while it computed")
    return orjson.loads(line)


def _kill(worker: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        worker.kill()
