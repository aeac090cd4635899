"""One supervised engine: a child process that serves one model, started on demand, restarted with backoff, unloaded.

    stopped ──use──▶ starting ──healthy──▶ ready ──unload──▶ stopping ──▶ stopped
                        │                    │
                        └──────fails─────────┴──dies──▶ backing_off (a short one is waited out; a crash loop is refused)

How many engines may be loaded together is the pool's business (`engine_pool.py`), what is asked of them the backends'.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import aiohttp

from main_api.backends.engine_process import EngineDidNotStart, EngineProcess, Launch, cap_log
from main_api.backends.openai_compatible import OpenAICompatibleBackend, OpenAICompatibleOptions
from shared.errors import Unavailable, UpstreamFailed
from shared.logging import get_logger
from shared.single_flight import SingleFlight

EngineState = Literal["stopped", "starting", "ready", "stopping", "backing_off"]

_log = get_logger(__name__)


class EngineStopped(UpstreamFailed):
    """The engine died while it was answering; asking again starts a new one.

    `was_dying`: so soon after it was asked that its end need not have been noticed before.
    """

    code = "engine_stopped"
    was_dying = False


class EngineUnavailable(Unavailable):
    """The engine does not start, or keeps crashing; `retry_after` says when it is tried again."""

    code = "engine_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How engines are run. Times are seconds.

    `slots` requests are batched together, each with at most `context` tokens (less where the model was trained with
    less). `max_loaded` engines are in memory at once; for another one the longest idle engine is unloaded, and a
    request waits `room_timeout_s` for one to become idle. The first crash costs no wait, the next ones
    `backoff_s`, doubled each time up to `longest_backoff_s`, until an engine has answered or has lived for
    `stable_after_s`. A request waits up to `patience_s` for a restart, and is refused if that takes longer.
    """

    log_dir: Path
    slots: int = 8
    context: int = 8192
    threads: int | None = None
    max_loaded: int = 2
    idle_unload_s: float = 900.0
    start_timeout_s: float = 120.0
    silence_timeout_s: float = 300.0
    room_timeout_s: float = 30.0
    backoff_s: float = 1.0
    longest_backoff_s: float = 60.0
    patience_s: float = 5.0
    stable_after_s: float = 60.0
    log_bytes: int = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """What to run: the model's public name, how, and a word that changes when the model's file does."""

    model: str
    launch: Launch
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """An engine as `/health` and the metrics show it."""

    model: str
    state: EngineState
    pid: int | None
    loaded_since: datetime | None
    active: int
    restarts: int
    failure: str | None


class Engine:
    """The supervisor of one model's child process. `freed` is called whenever its memory is free again."""

    def __init__(
        self, spec: EngineSpec, options: EngineOptions, session: aiohttp.ClientSession, freed: Callable[[], None]
    ) -> None:
        self.spec = spec
        self.active = 0
        self.last_used = time.monotonic()
        self._options = options
        self._session = session
        self._freed = freed
        self._log_file = options.log_dir / f"{_file_name(spec.model)}.log"
        self._process: EngineProcess | None = None
        self._client: OpenAICompatibleBackend | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._starting = SingleFlight(self._start)
        self._unloading = SingleFlight(self._unload)
        self._state: EngineState = "stopped"
        self._started_at = 0.0
        self._loaded_since: datetime | None = None
        self._starts = 0
        self._failures = 0
        self._retry_at = 0.0
        self._failure: str | None = None

    @property
    def state(self) -> EngineState:
        return self._state

    @property
    def in_memory(self) -> bool:
        return self._state in {"starting", "ready", "stopping"}

    def status(self) -> EngineStatus:
        return EngineStatus(
            model=self.spec.model,
            state=self._state,
            pid=self._process.pid if self._process else None,
            loaded_since=self._loaded_since,
            active=self.active,
            restarts=max(0, self._starts - 1),
            failure=self._failure,
        )

    async def wait_out_backoff(self) -> None:
        """Return when the engine runs or may be started. Raises `EngineUnavailable` when that is too long to wait."""
        patient_until = time.monotonic() + self._options.patience_s
        while self._state == "backing_off" and (wait := self._retry_at - time.monotonic()) > 0:
            if self._retry_at > patient_until:
                raise EngineUnavailable(
                    f"The engine of {self.spec.model} keeps failing: {self._failure}", retry_after=wait
                )
            await asyncio.sleep(wait)

    async def client(self) -> OpenAICompatibleBackend:
        """Return a client of the running engine, starting it if need be. Raises `EngineUnavailable`."""
        if self._client is not None:
            return self._client
        try:
            return await self._starting.result()
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            raise EngineUnavailable(f"The engine of {self.spec.model} was ended while it started") from None

    def answered(self, client: OpenAICompatibleBackend) -> None:
        """Note that the process that `client` talks to works: its end, when it comes, is no crash loop."""
        if self._client is client:
            self._failures = 0

    async def died(self, client: OpenAICompatibleBackend, *, within_s: float) -> bool:
        """Tell whether the process that `client` talked to is gone, or goes within a moment.

        Its broken connections are noticed a little before its end is.
        """
        if self._client is client and self._watcher is not None:
            await asyncio.wait([self._watcher], timeout=within_s)
        return self._client is not client

    async def unload(self) -> None:
        """End the child, freeing its memory; the next use starts a new one. Goes on when the caller is cancelled."""
        await self._unloading.result()

    async def _unload(self) -> None:
        await self._starting.aclose()
        process, self._process, self._client = self._process, None, None
        if process is None:
            return
        self._state = "stopping"
        await process.stop()
        if self._watcher is not None:
            await self._watcher
        self._state, self._loaded_since = "stopped", None
        self._freed()
        _log.info("engine unloaded", model=self.spec.model)

    async def cap_log(self) -> None:
        """Keep the log of a long-lived child small."""
        await asyncio.to_thread(cap_log, self._log_file, self._options.log_bytes)

    async def _start(self) -> OpenAICompatibleBackend:
        self._state = "starting"
        try:
            process = await EngineProcess.start(
                self.spec.launch,
                session=self._session,
                log_file=self._log_file,
                timeout_s=self._options.start_timeout_s,
            )
        except EngineDidNotStart as error:
            self._fail(error.reason, free_tries=0)
            raise EngineUnavailable(
                f"The engine of {self.spec.model} did not start: {error.reason}",
                retry_after=max(0.0, self._retry_at - time.monotonic()),
            ) from error
        except BaseException:
            self._state = "stopped"
            self._freed()
            raise
        return self._run(process)

    def _run(self, process: EngineProcess) -> OpenAICompatibleBackend:
        self._process = process
        self._client = OpenAICompatibleBackend(
            name=self.spec.model,
            base_url=f"{process.url}/v1",
            api_key=process.api_key,
            session=self._session,
            options=OpenAICompatibleOptions(
                label=f"The engine of {self.spec.model}",
                silence_timeout_s=self._options.silence_timeout_s,
                fresh_connections=True,
            ),
        )
        self._state, self._failure = "ready", None
        self._started_at, self._loaded_since = time.monotonic(), datetime.now(UTC)
        self._starts += 1
        self._watcher = asyncio.create_task(self._watch(process), name=f"engine {self.spec.model}")
        _log.info("engine ready", model=self.spec.model, pid=process.pid)
        return self._client

    async def _watch(self, process: EngineProcess) -> None:
        reason = await process.died()
        if self._process is not process:  # it was unloaded
            return
        self._process = self._client = self._loaded_since = None
        if time.monotonic() - self._started_at >= self._options.stable_after_s:
            self._failures = 0
        self._fail(reason, free_tries=1)

    def _fail(self, reason: str, *, free_tries: int) -> None:
        self._failures += 1
        self._failure = reason
        doublings = min(self._failures - free_tries - 1, 16)
        wait = 0.0 if doublings < 0 else min(self._options.backoff_s * 2**doublings, self._options.longest_backoff_s)
        self._retry_at = time.monotonic() + wait
        self._state = "backing_off" if wait else "stopped"
        self._freed()
        _log.error("engine failed", model=self.spec.model, reason=reason, retry_after=wait)


def _file_name(model: str) -> str:
    return "".join(character if character.isalnum() or character in "-._" else "_" for character in model)[:128]
