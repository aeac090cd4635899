"""Run the servers together: start them in order, wait for their health, restart or give up, stop them in reverse.

It knows nothing of settings or of the terminal: `serve.py` says what to run and what to print.
"""

import asyncio
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cli.health import ask_health
from cli.server_process import ServerFailed, ServerProcess, ServerSpec

if TYPE_CHECKING:
    import aiohttp

_POLL_S = 0.05
_TRIM_EVERY_S = 60.0


class Voice(Protocol):
    """Where the supervisor says what happens."""

    def starting(self, name: str) -> None: ...

    def healthy(self, spec: ServerSpec, seconds: float, remark: str | None) -> None: ...

    def ready(self) -> None: ...

    def trouble(self, sentence: str, details: str) -> None: ...

    def stopping(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the supervisor waits for what, in seconds."""

    start_s: float = 60.0
    stop_s: float = 30.0
    backoff_s: Sequence[float] = field(default=(0.1, 1, 2, 4, 8, 15, 30))
    steady_s: float = 60.0
    """A server that was healthy this long has recovered: its next restart is quick again."""
    lives: int = 5
    """An essential server whose last so many runs were healthy for less than `steady_s` in sum is given up."""


class Supervisor:
    """Keep `specs` running, in this order, until asked to stop."""

    def __init__(
        self,
        specs: Sequence[ServerSpec],
        *,
        voice: Voice,
        on_change: Callable[[Sequence[int]], None],
        patience: Patience = Patience(),
    ) -> None:
        self._specs = specs
        self._voice = voice
        self._on_change = on_change
        self._patience = patience
        self._running: dict[str, ServerProcess] = {}
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def request_stop(self) -> None:
        """Stop in order; asked a second time, stop at once."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self) -> None:
        """Return after an orderly stop. Raises `ServerFailed` when a server cannot start at all, or one
        that is needed dies again and again."""
        self._listen_to_signals()
        try:
            for spec in self._specs:  # side by side: most of a start is importing, and the main API can wait for tools
                await self._launch(spec)
            await self._supervise()
        finally:
            await self._stop_all()

    async def _supervise(self) -> None:
        from shared.http_client import create_http_session  # takes a while, in which the servers start already

        async with create_http_session(connect_timeout_s=2, read_timeout_s=5) as http:
            work = asyncio.create_task(self._work(http))
            asked = asyncio.create_task(self._stop.wait())
            try:
                await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                asked.cancel()
                work.cancel()
                results = await asyncio.gather(work, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.request_stop)

    async def _work(self, http: "aiohttp.ClientSession") -> None:
        for spec in self._specs:
            await self._confirm(spec, http)
        self._voice.ready()
        try:
            async with asyncio.TaskGroup() as tasks:
                for spec in self._specs:
                    tasks.create_task(self._watch(spec, http))
                tasks.create_task(self._trim_logs())
        except ExceptionGroup as group:  # not `except*`: what that raises, Python wraps in a group until 3.11.4
            failed, others = group.split(ServerFailed)
            if failed is None or others is not None:
                raise
            raise failed.exceptions[0] from None

    async def _launch(self, spec: ServerSpec) -> None:
        self._running[spec.name] = await ServerProcess.start(spec)
        self._on_change([running.pid for running in self._running.values()])

    async def _confirm(self, spec: ServerSpec, http: "aiohttp.ClientSession") -> None:
        self._voice.starting(spec.name)
        server = self._running[spec.name]
        remark = await self._wait_until_healthy(server, http)
        server.healthy_since = time.monotonic()
        self._voice.healthy(spec, server.healthy_since - server.started, remark)

    async def _wait_until_healthy(self, server: ServerProcess, http: "aiohttp.ClientSession") -> str | None:
        name = server.spec.name
        exited = asyncio.create_task(server.wait())
        try:
            async with asyncio.timeout(self._patience.start_s):
                while not exited.done():
                    health = await ask_health(http, server.spec.health_url)
                    if health is not None:
                        return _remark(health)
                    await asyncio.wait({exited}, timeout=_POLL_S)
        except TimeoutError:
            waited = self._patience.start_s
            raise ServerFailed(
                f"The {name} did not answer within {waited:.0f} s. The end of {server.spec.log}:\n{server.last_words()}"
            ) from None
        finally:
            exited.cancel()
        raise ServerFailed(
            f"The {name} could not start ({_ending(exited.result())}). Its last words:\n{server.last_words()}"
        )

    async def _watch(self, spec: ServerSpec, http: "aiohttp.ClientSession") -> None:
        failures = 0
        runs: deque[float] = deque(maxlen=self._patience.lives)
        while True:
            server = self._running[spec.name]
            status = await server.wait()
            runs.append(server.healthy_s)
            if spec.essential and len(runs) == runs.maxlen and sum(runs) < self._patience.steady_s:
                raise ServerFailed(
                    f"The {spec.name} stopped {len(runs)} times soon after its start (the last time: "
                    f"{_ending(status)}) and is not started again. Its last words, from {spec.log}:\n"
                    f"{server.last_words()}"
                )
            failures = 0 if server.healthy_s > self._patience.steady_s else failures
            pause = self._patience.backoff_s[min(failures, len(self._patience.backoff_s) - 1)]
            failures += 1
            sentence = f"The {spec.name} stopped ({_ending(status)}). Starting it again in {pause:g} s."
            self._voice.trouble(sentence, server.last_words())
            await asyncio.sleep(pause)
            await self._try_again(spec, http)

    async def _try_again(self, spec: ServerSpec, http: "aiohttp.ClientSession") -> None:
        """Start a server once more; if that fails, `_watch` sees it gone and waits longer or gives it up."""
        try:
            await self._launch(spec)
            await self._confirm(spec, http)
        except ServerFailed:
            await self._running[spec.name].stop(grace_s=0, hurry=self._hurry)

    async def _trim_logs(self) -> None:
        while True:
            for server in self._running.values():
                await asyncio.to_thread(server.trim_log)
            await asyncio.sleep(_TRIM_EVERY_S)

    async def _stop_all(self) -> None:
        if any(server.alive for server in self._running.values()):
            self._voice.stopping()
        for spec in reversed(self._specs):  # the main API first: its last runs may still need tools
            if server := self._running.get(spec.name):
                await server.stop(grace_s=self._patience.stop_s, hurry=self._hurry)
        self._on_change([])


def _remark(health: dict[str, Any]) -> str | None:
    if str(health.get("status", "")).lower() in {"ok", "healthy"}:
        return None
    tools: dict[str, str] = health.get("tools") or {}
    if missing := [name for name, state in tools.items() if state != "available"]:
        return f"unavailable: {', '.join(missing)} (twinport doctor says why)"
    return str(health.get("message") or health.get("status") or "degraded")


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended by signal {-status}"
