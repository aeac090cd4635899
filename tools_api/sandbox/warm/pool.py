"""Keeps a zygote and a few of its forks waiting, and gives each to one run.

Everything slow happens in the background: a run takes a fork that waits, or has one made (milliseconds), or, while
there is no trusted zygote, takes the cold path. A zygote gets no run before the self-test has held in its forks. It is
replaced when it dies, when a self-test fails, when its trees change on disk, and when it is old; the runs in its forks
go on meanwhile.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from shared.logging import get_logger
from tools_api.sandbox.cgroup import CgroupFactory, CgroupV1, CgroupV2
from tools_api.sandbox.execution import Execution
from tools_api.sandbox.launch import Launcher, Unusable
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job, Outcome
from tools_api.sandbox.process import SandboxBroken
from tools_api.sandbox.selftest import SelfTestFailed, run_self_test
from tools_api.sandbox.warm.profile import WarmProfile
from tools_api.sandbox.warm.worker import WarmWorker
from tools_api.sandbox.warm.zygote import Zygote

_log = get_logger(__name__)

_LOOK_EVERY_S = 5.0
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 600.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmReport:
    """How the warm path stands. `reason` says why it is off; it is None while it works or has just been started."""

    ready: bool
    waiting: int
    runs: int
    """How many were given a warm sandbox so far."""
    reason: str | None


@dataclass(slots=True)
class Held:
    """A worker with its control groups, which end together."""

    process: WarmWorker
    cgroup: CgroupV1 | CgroupV2 | None
    cgroups: CgroupFactory | None

    async def gone(self) -> None:
        """Kill it and wait until nothing of it is left."""
        await self.process.gone()
        if self.cgroup and self.cgroups:
            await self.cgroups.remove(self.cgroup)


class WarmPool:
    """Gives warm sandboxes to those who `take` them. `start()` once the cold path has passed, `aclose()` last."""

    def __init__(self, launcher: Launcher, cgroups: CgroupFactory | None, profile: WarmProfile) -> None:
        self._launcher = launcher
        self._cgroups = cgroups
        self._profile = profile
        self._zygote: Zygote | None = None
        self._zygote_at = 0.0
        self._fingerprint = self._fingerprint_now()
        self._waiting: deque[Held] = deque()
        self._retired: list[Zygote] = []
        self._maintaining: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._something_changed = asyncio.Event()
        self._check_is_due = False
        self._runs = 0
        self._reason: str | None = None

    @property
    def report(self) -> WarmReport:
        """Say how the warm path stands."""
        ready = self._zygote is not None and self._zygote.alive and self._fingerprint_now() == self._fingerprint
        return WarmReport(ready=ready, waiting=len(self._waiting), runs=self._runs, reason=self._reason)

    def start(self) -> None:
        """Begin to keep sandboxes waiting; later calls make it repeat the self-test soon."""
        if self._maintaining is None:
            self._maintaining = asyncio.create_task(self._maintain())
            return
        self._check_is_due = True
        self._something_changed.set()

    async def take(self, job: Job, limits: Limits) -> Held | None:
        """Give a sandbox that is ready for `job`, made on demand if none waits; None if the job has to be run cold."""
        zygote = self._zygote
        if zygote is None or not self._profile.fits(job):
            return None
        if not zygote.alive or self._fingerprint_now() != self._fingerprint:
            self._something_changed.set()
            return None
        try:
            held = await self._next_waiting(limits) or await self._fork(zygote, limits)
            await _tighten(held, limits)
        except (SandboxBroken, OSError) as error:
            _log.warning("warm_sandbox_broken", reason=str(error))
            self.start()
            return None
        self._runs += 1
        self._something_changed.set()
        return held

    def clear_away(self, held: Held) -> None:
        """Kill a sandbox that was taken, now, and take care of what is left of it without letting anyone wait."""
        held.process.kill()
        leaving = asyncio.create_task(held.gone())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def aclose(self) -> None:
        """End the zygotes and all that came from them."""
        if self._maintaining:
            self._maintaining.cancel()
            await asyncio.gather(self._maintaining, return_exceptions=True)
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await self._dismiss()
        for zygote in self._retired:
            await zygote.aclose()
        self._retired.clear()

    async def _next_waiting(self, limits: Limits) -> Held | None:
        """Take one that waits; none fits a job whose mounts have other sizes, or a session, which lives longer."""
        made_for = self._profile.limits
        if limits.cpu_s > made_for.cpu_s:
            return None
        if (limits.workspace_bytes, limits.scratch_bytes) != (made_for.workspace_bytes, made_for.scratch_bytes):
            return None
        while self._waiting:
            held = self._waiting.popleft()
            if held.process.alive:
                return held
            await held.gone()
        return None

    async def _fork(self, zygote: Zygote, limits: Limits) -> Held:
        return await _whole(self._fork_now(zygote, limits), Held.gone)

    async def _fork_now(self, zygote: Zygote, limits: Limits) -> Held:
        cgroup = self._cgroups.create(limits) if self._cgroups else None
        try:
            return Held(await zygote.fork(limits, cgroup), cgroup, self._cgroups)
        except (SandboxBroken, OSError):
            if cgroup and self._cgroups:
                await self._cgroups.remove(cgroup)
            raise

    async def _maintain(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            self._something_changed.clear()
            try:
                await self._keep()
            except (SandboxBroken, Unusable, SelfTestFailed, OSError) as error:
                self._reason = str(error)
                _log.warning("warm_sandboxes_off", reason=self._reason, again_in_s=pause_s)
                await self._dismiss()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            pause_s = _FIRST_PAUSE_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._something_changed.wait()

    async def _keep(self) -> None:
        """Bring everything to what it should be."""
        if why := self._why_replace():
            await self._replace(why)
        elif self._check_is_due and self._zygote:
            self._check_is_due = False
            await self._test(self._zygote)
        while self._zygote and len(self._waiting) < self._profile.workers:
            self._waiting.append(await self._fork(self._zygote, self._profile.limits))
        for zygote in [retired for retired in self._retired if not retired.has_workers]:
            self._retired.remove(zygote)
            await zygote.aclose()

    def _why_replace(self) -> str | None:
        if self._zygote is None:
            return "start"
        if not self._zygote.alive:
            return "it died"
        if self._fingerprint_now() != self._fingerprint:
            return "its trees changed"
        return "it is old" if time.monotonic() - self._zygote_at > self._profile.renew_after_s else None

    async def _replace(self, why: str) -> None:
        """Start another zygote; it takes over when it has passed the self-test."""
        fingerprint = self._profile.fingerprint()
        started = time.monotonic()
        fresh = await _whole(Zygote.launch(self._launcher, self._profile, self._something_changed.set), Zygote.aclose)
        try:
            await fresh.until_ready()
            await self._test(fresh)
        except BaseException:
            await asyncio.shield(fresh.aclose())
            raise
        await self._dismiss()
        self._zygote, self._zygote_at, self._fingerprint = fresh, started, fingerprint
        self._reason = None
        _log.info("warm_sandboxes_ready", why=why, seconds=round(time.monotonic() - started, 2))

    async def _test(self, zygote: Zygote) -> None:
        async def run(job: Job) -> Outcome:
            limits = (job.limits or self._profile.limits).within(self._profile.limits)
            held = await self._fork(zygote, self._profile.limits)  # as those that wait
            try:
                await _tighten(held, limits)
                return await Execution(held.process, limits).do(job, held.cgroup)
            finally:
                await asyncio.shield(held.gone())

        await run_self_test(run)

    async def _dismiss(self) -> None:
        """Give no more forks of the present zygote to anyone; those that run may go on."""
        if self._zygote:
            self._retired.append(self._zygote)
            self._zygote = None
        while self._waiting:
            await self._waiting.popleft().gone()

    def _fingerprint_now(self) -> tuple[tuple[int, int, int], ...]:
        try:
            return self._profile.fingerprint()
        except OSError:
            return ()  # a tree is being replaced


async def _tighten(held: Held, limits: Limits) -> None:
    """Set the limits of a job, which are never wider than those that the sandbox was made for."""
    held.process.tighten(limits)
    try:
        if held.cgroup:
            held.cgroup.limit(limits)
    except OSError:
        await held.gone()
        raise


async def _whole(work: Awaitable[T], undo: Callable[[T], Awaitable[None]]) -> T:
    """Do `work` to its end even if cancelled meanwhile, and undo it then."""
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        if not working.cancelled() and working.exception() is None:
            await undo(working.result())
        raise
