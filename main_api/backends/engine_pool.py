"""The engines that are loaded: at most so many, the longest idle one gives way, idle ones are unloaded after a while.

Backends ask for `use(spec)`; the pool starts what is not running and counts who uses what, so that nothing in use is
ever unloaded. One pool serves all kinds of engines, because they share the machine's memory.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import aiohttp

from main_api.backends.engine import Engine, EngineOptions, EngineSpec, EngineStatus, EngineStopped
from main_api.backends.openai_compatible import OpenAICompatibleBackend
from shared.errors import Unavailable, UpstreamFailed

_DEATH_NOTICE_S = 0.5


class EnginePool:
    """All engines of the process. `aclose` ends every child."""

    def __init__(self, options: EngineOptions, session: aiohttp.ClientSession) -> None:
        self.options = options
        self._session = session
        self._engines: dict[str, Engine] = {}
        self._changed = asyncio.Event()
        self._housekeeping: asyncio.Task[None] | None = None
        self._closed = False

    def status(self) -> list[EngineStatus]:
        """Say how every engine is that was asked for since the start."""
        return [engine.status() for engine in self._engines.values()]

    def is_loaded(self, model: str) -> bool:
        """Tell whether `model` (its public name) would answer at once."""
        engine = self._engines.get(model)
        return engine is not None and engine.state == "ready"

    @asynccontextmanager
    async def use(self, spec: EngineSpec) -> AsyncGenerator[OpenAICompatibleBackend]:
        """Lend a client of the engine of `spec`; it stays loaded as long as it is lent.

        Raises `EngineUnavailable` when it does not start, `EngineStopped` when it dies in between.
        """
        engine = await self._admit(spec)
        try:
            await engine.wait_out_backoff()
            if self._closed:
                raise Unavailable("The service is shutting down")
            client = await engine.client()
            asked_at = time.monotonic()
            try:
                yield client
                engine.answered(client)
            except (UpstreamFailed, Unavailable) as error:
                if await engine.died(client, within_s=_DEATH_NOTICE_S):
                    stopped = EngineStopped(
                        f"The engine of {spec.model} stopped while it was answering; ask again and a new one is started"
                    )
                    stopped.was_dying = time.monotonic() - asked_at < _DEATH_NOTICE_S
                    raise stopped from error
                raise
        finally:
            engine.active -= 1
            engine.last_used = time.monotonic()
            self._notify()

    async def unload(self, model: str) -> bool:
        """Unload `model` if it is loaded and idle; tell whether it is out of memory now."""
        engine = self._engines.get(model)
        if engine is not None and not engine.active:
            await engine.unload()
        return engine is None or not engine.in_memory

    async def aclose(self) -> None:
        """End all engines; requests that still run are cut off."""
        self._closed = True
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            await asyncio.wait([self._housekeeping])
        await asyncio.gather(*(engine.unload() for engine in self._engines.values()))

    async def _admit(self, spec: EngineSpec) -> Engine:
        """Return the engine of `spec` counted as in use, once there is room for it."""
        if self._closed:
            raise Unavailable("The service is shutting down")
        if self._housekeeping is None:
            self._housekeeping = asyncio.create_task(self._keep_house(), name="engine housekeeping")
        try:
            async with asyncio.timeout(self.options.room_timeout_s):
                while (engine := await self._try_admit(spec)) is None:
                    await self._changed.wait()
        except TimeoutError:
            raise Unavailable(
                f"All {self.options.max_loaded} model engines that may be loaded at once are busy; try again",
                retry_after=5,
            ) from None
        return engine

    async def _try_admit(self, spec: EngineSpec) -> Engine | None:
        """Make room if that is possible; looks at everything anew after each wait."""
        while True:
            engine = self._engines.setdefault(spec.model, self._new(spec))
            if engine.state == "stopping":
                return None
            if engine.spec != spec and not engine.active:  # its file was replaced
                if engine.in_memory:
                    await engine.unload()
                else:
                    self._engines[spec.model] = self._new(spec)
                continue
            if engine.active or engine.in_memory or self._occupied() < self.options.max_loaded:
                engine.active += 1
                return engine
            idle = [other for other in self._engines.values() if not other.active and other.state == "ready"]
            if not idle:
                return None
            await min(idle, key=lambda other: other.last_used).unload()

    def _occupied(self) -> int:
        return sum(1 for engine in self._engines.values() if engine.active or engine.in_memory)

    def _new(self, spec: EngineSpec) -> Engine:
        return Engine(spec, self.options, self._session, self._notify)

    async def _keep_house(self) -> None:
        pause = min(15.0, max(0.05, self.options.idle_unload_s / 4))
        while True:
            await asyncio.sleep(pause)
            for engine in tuple(self._engines.values()):
                if engine.state != "ready":
                    continue
                if not engine.active and time.monotonic() - engine.last_used >= self.options.idle_unload_s:
                    await engine.unload()
                else:
                    with suppress(OSError):  # a full disk must not end the unloading of idle engines
                        await engine.cap_log()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
