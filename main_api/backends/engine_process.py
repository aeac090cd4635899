"""One engine's child process: start it, hear its address, wait for its health, end it. Knows no models, no policy.

The child never outlives the API (see `engines/lifeline.py`), gets a random key by its stdin and only those environment
variables that an engine needs: no key of a provider is among them. Its log goes straight to a file, so that even the
last words of a native crash are kept.
"""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from main_api.backends.engine_failures import reason_of

_ROOT: Final = Path(__file__).resolve().parents[2]
_ENVIRONMENT: Final = (
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CC", "CXX", "SYSTEMROOT",
)  # fmt: skip
_LOG_TAIL: Final = 8_192
_POLL_S: Final = 0.05
_STOP_GRACE_S: Final = 3.0


class EngineDidNotStart(Exception):
    """The child is not there or not healthy; `reason` is in plain words and has no path."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a child is started: its command line, variables beside the usual ones, and where its health is asked."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    health_path: str = "/health"


class EngineProcess:
    """A running child. Made by `start`; `died` returns when it is gone, for whatever reason."""

    def __init__(self, process: asyncio.subprocess.Process, *, log_file: Path, api_key: str) -> None:
        self._process = process
        self._log_file = log_file
        self.api_key = api_key
        self.url = ""

    @classmethod
    async def start(
        cls, launch: Launch, *, session: aiohttp.ClientSession, log_file: Path, timeout_s: float
    ) -> "EngineProcess":
        """Start a child and wait until it is healthy. Raises `EngineDidNotStart`; leaves no child behind then."""
        child = await _spawn(launch, log_file)
        try:
            async with asyncio.timeout(timeout_s):
                await child._greet()
                child.url = await child._announced()
                await child._healthy(session, launch.health_path)
        except BaseException as error:
            await child.stop(grace_s=0)
            if isinstance(error, TimeoutError):
                raise EngineDidNotStart(reason_of(None, b"")) from error
            raise
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    async def died(self) -> str:
        """Wait for the child's end and return the reason."""
        await _stream(self._process.stdout).read()  # its end is known before the exit status is
        status = await self._process.wait()
        return reason_of(status, await self._log_tail())

    async def stop(self, *, grace_s: float = _STOP_GRACE_S) -> None:
        """End the child: politely, then not. Returns when its memory is free."""
        if self._process.returncode is not None:
            return
        self._signal(signal.SIGTERM if grace_s else signal.SIGKILL)
        try:
            async with asyncio.timeout(grace_s or _STOP_GRACE_S):
                await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    def _signal(self, number: int) -> None:
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            return  # it went first

    async def _greet(self) -> None:
        stdin = self._process.stdin
        if stdin is None:
            raise EngineDidNotStart("it has no lifeline")
        stdin.write(orjson.dumps({"parent_pid": os.getpid(), "api_key": self.api_key}) + b"\n")
        try:
            await stdin.drain()
        except ConnectionError:
            return  # it is gone already; the announcement that does not come says so

    async def _announced(self) -> str:
        line = await _stream(self._process.stdout).readline()
        try:
            message: dict[str, str] = orjson.loads(line) if line else {}
        except orjson.JSONDecodeError as error:
            raise EngineDidNotStart("its first words cannot be understood") from error
        if "url" in message:
            return message["url"]
        status = await self._process.wait()
        raise EngineDidNotStart(message.get("failed") or reason_of(status, await self._log_tail()))

    async def _healthy(self, session: aiohttp.ClientSession, path: str) -> None:
        headers = {"Authorization": f"Bearer {self.api_key}", "Connection": "close"}
        while True:
            if self._process.returncode is not None:
                raise EngineDidNotStart(reason_of(self._process.returncode, await self._log_tail()))
            try:
                async with session.get(self.url + path, headers=headers, allow_redirects=False) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # not listening yet
            await asyncio.sleep(_POLL_S)

    async def _log_tail(self) -> bytes:
        return await asyncio.to_thread(_tail, self._log_file)


async def _spawn(launch: Launch, log_file: Path) -> EngineProcess:
    log = await asyncio.to_thread(_open_log, log_file)
    try:
        # In the event loop's own thread: PR_SET_PDEATHSIG fires when the starting thread ends, not the process.
        process = await asyncio.create_subprocess_exec(
            *launch.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=_environment(launch.environment),
            cwd=_ROOT,
            start_new_session=True,  # Ctrl-C in the terminal must not cut the answers that are still being drained
        )
    except OSError as error:
        raise EngineDidNotStart("the engine's program cannot be run") from error
    finally:
        os.close(log)
    return EngineProcess(process, log_file=log_file, api_key=secrets.token_urlsafe(32))


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return {**inherited, "PYTHONUNBUFFERED": "1", **extra}


def _open_log(path: Path) -> int:
    """Open a fresh log for a new child, keeping the previous one as `.1`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def cap_log(path: Path, longest: int) -> None:
    """Empty a log that grew beyond `longest` bytes, keeping its end as `.1`. The child appends, so it may go on."""
    if not path.exists() or path.stat().st_size <= longest:
        return
    path.with_name(path.name + ".1").write_bytes(_tail(path, longest // 2))
    os.truncate(path, 0)


def _tail(path: Path, length: int = _LOG_TAIL) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - length))
            return file.read(length)
    except OSError:
        return b""


def _stream(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if stream is None:
        raise EngineDidNotStart("it has no lifeline")
    return stream


PYTHON: Final = sys.executable
"""The interpreter that children run with: ours, so that they find the same packages."""
