"""The sandbox as the rest of the tools API sees it: it runs jobs, or says why it can't. It never runs anything bare.

It chooses among the levels that the operator allows, best first: the first one whose self-test passes is used, and the
list is gone through again from time to time and when a level breaks. Below the list there is nothing.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from shared.logging import get_logger
from tools_api.sandbox.interpreter import Interpreter, own_interpreter
from tools_api.sandbox.landlock import LandlockSeccomp
from tools_api.sandbox.level import Isolation, KeepsSessions, LevelFailed, Opened
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.ns_seccomp import NsSeccomp
from tools_api.sandbox.outcome import (
    Job,
    Level,
    Outcome,
    OutputListener,
    PassedOver,
    SandboxBusy,
    SandboxReport,
    SandboxUnavailable,
)
from tools_api.sandbox.remote import Remote, RemoteOptions
from tools_api.sandbox.sessions import NoSessions, Session, SessionKey, SessionOptions, Sessions
from tools_api.sandbox.warm.pool import WarmReport
from tools_api.sandbox.warm.profile import WarmProfile
from tools_api.sandbox.wasi import Wasi

_log = get_logger(__name__)

_ATTEMPTS = 2
_SHORTEST_RUN_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """What an operator decides. `limits` are defaults and maxima at once; empty `levels` switch everything off."""

    levels: tuple[Level, ...] = ("ns-seccomp",)
    """Those that may be used, best first."""
    limits: Limits = field(default_factory=Limits)
    concurrency: int = 8
    sessions: SessionOptions = field(default_factory=SessionOptions)
    check_interval_s: float = 600.0
    bubblewrap: Path | None = None
    """By default the one on PATH."""
    interpreter: Interpreter | None = None
    """By default the one that runs the service."""
    use_cgroups: bool = True
    warm: WarmProfile | None = None
    """Which jobs find a sandbox waiting at the level `ns-seccomp`; its `limits` are set to these here."""
    wasi_artefact: Path = Path(sys.prefix) / "sandbox-wasi"
    """CPython on WASI, as `tools_api.sandbox.wasi.build` makes it; by default where the set-up puts it."""
    remote: RemoteOptions | None = None
    """The runner of the level `remote`."""


def make_levels(options: SandboxOptions) -> tuple[Isolation, ...]:
    """Make the levels that the options name, in their order. Nothing is started."""
    return tuple(_make_level(name, options) for name in dict.fromkeys(options.levels))


def _make_level(name: Level, options: SandboxOptions) -> Isolation:
    match name:
        case "ns-seccomp":
            return NsSeccomp(
                bubblewrap=options.bubblewrap,
                interpreter=options.interpreter or own_interpreter(),
                use_cgroups=options.use_cgroups,
                most=options.limits,
                warm=options.warm,
            )
        case "wasi":
            return Wasi(artefact=options.wasi_artefact, most=options.limits)
        case "landlock-seccomp":
            return LandlockSeccomp(interpreter=options.interpreter or own_interpreter(), most=options.limits)
        case "remote":
            return Remote(options.remote, most=options.limits)


class Sandbox:
    """Runs jobs in isolation. `await start()` before, `await aclose()` after; `report` says how it stands.

    `levels` replaces those that the options name.
    """

    def __init__(self, options: SandboxOptions, *, levels: Sequence[Isolation] | None = None) -> None:
        self._options = options
        self._levels = make_levels(options) if levels is None else tuple(levels)
        self._level: Isolation | None = None
        self._report = _off("the sandbox has not been started")
        self._slots = asyncio.Semaphore(options.concurrency)
        self._sessions = Sessions(self._open, options.sessions)
        self._probing = asyncio.Lock()
        self._checking: asyncio.Task[None] | None = None

    @property
    def report(self) -> SandboxReport:
        """Say how the sandbox stands, from the last self-test."""
        return self._report

    @property
    def warm(self) -> WarmReport | None:
        """Say how the warm path stands; None if there is none."""
        return next((level.warm for level in self._levels if isinstance(level, NsSeccomp)), None)

    @property
    def limits(self) -> Limits:
        """What one run may use at most."""
        return self._options.limits

    @property
    def allows_sessions(self) -> bool:
        """Say whether the operator does, and the level in use can keep them."""
        return self._options.sessions.most > 0 and (self._level is None or isinstance(self._level, KeepsSessions))

    async def start(self) -> None:
        """Run the self-test and repeat it from time to time. What fails makes the sandbox unavailable, nothing else."""
        await self.probe()
        self._checking = asyncio.create_task(self._check_for_ever())

    async def aclose(self) -> None:
        """Stop checking, end all sessions and let everything go. Runs end with their callers."""
        if self._checking:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)
        self._report = _off("the sandbox has been stopped")
        self._level = None
        await self._sessions.aclose()
        for level in self._levels:
            await level.aclose()

    async def probe(self) -> SandboxReport:
        """Go through the levels now, run their self-tests until one passes, and return what was found."""
        async with self._probing:
            await self._choose()
        return self._report

    def session(self, key: SessionKey, *, within_s: float | None = None) -> AbstractAsyncContextManager[Session]:
        """Wait for the turn of the session `key`, or for room for it, and hold it alone, for `run` to go on with.

        Raises `NoSessions` if none are kept here, `SandboxBusy` if neither came in time, `SandboxUnavailable`.
        """
        if self._level and not isinstance(self._level, KeepsSessions):
            raise NoSessions(f"its level is {self._level.name}")
        return self._sessions.hold(key, within_s=within_s)

    async def run(
        self,
        job: Job,
        *,
        within_s: float | None = None,
        on_output: OutputListener | None = None,
        session: Session | None = None,
    ) -> Outcome:
        """Run `job` in a fresh sandbox, or as the next call of `session`; `within_s` bounds the wait for a free slot
        and the run together. `on_output` hears what it prints while it runs.

        Raises `SandboxUnavailable` if no level works that can run it, `SandboxBusy` if no slot came free in time.
        """
        self._level_for(job)
        ends = None if within_s is None else time.monotonic() + within_s
        await self._take_slot(within_s)
        try:
            return await self._run_now(job, ends, on_output, session)
        finally:
            self._slots.release()

    async def _take_slot(self, within_s: float | None) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._slots.acquire()
        except TimeoutError:
            raise SandboxBusy("All sandboxes are busy; try again in a moment.", retry_after=1.0) from None

    async def _run_now(
        self, job: Job, ends: float | None, on_output: OutputListener | None, session: Session | None
    ) -> Outcome:
        """Run it; if its level breaks before anything of it ran, once more on what a new choice brings."""
        if ends and session:
            ends -= self._options.sessions.interrupt_s
        for _ in range(_ATTEMPTS):
            level, report = self._level_for(job), self._report
            limits = _until(ends, (job.limits or self.limits).within(self.limits))
            try:
                if session:
                    return await session.run(job, limits, on_output)
                return await level.run(job, limits, on_output)
            except LevelFailed as error:
                _log.warning("sandbox_broken", sandbox_level=level.name, reason=str(error))
                await self._choose_again(report)
        self._level_for(job)
        raise SandboxUnavailable("The sandbox failed to start twice; it works again, repeat the call.", retry_after=1.0)

    def _open(self, job: Job, limits: Limits) -> AbstractAsyncContextManager[Opened]:
        level = self._level_for(job)
        if not isinstance(level, KeepsSessions):
            raise SandboxUnavailable("The sandbox has changed; call without a session.")
        return level.open(job, limits)

    def _level_for(self, job: Job) -> Isolation:
        if self._level is None:
            raise SandboxUnavailable(f"Code can't be run safely on this server: {self._report.reason}.")
        if job.argv and not self._level.abilities.programs:
            raise SandboxUnavailable(
                f"This server's sandbox runs Python code only, no other programs (its level is {self._level.name})."
            )
        if (job.channel or job.loopback) and not self._level.abilities.channels:
            raise SandboxUnavailable(
                f"This server's sandbox has no channels and sockets (its level is {self._level.name})."
            )
        return self._level

    async def _choose_again(self, seen: SandboxReport) -> None:
        """Choose, unless another run that broke has done so since `seen` was the report."""
        async with self._probing:
            if self._report is seen:
                await self._choose()

    async def _choose(self) -> None:
        level, report = await self._examine()
        if (report.level, report.reason) != (self._report.level, self._report.reason):
            passed_over = {item.level: item.reason for item in report.passed_over}
            _log.info(
                "sandbox_checked", sandbox_level=report.level or "off", reason=report.reason, passed_over=passed_over
            )
        if level is not self._level:
            await self._sessions.end_all()
        self._level, self._report = level, report

    async def _examine(self) -> tuple[Isolation | None, SandboxReport]:
        failed: list[PassedOver] = []
        checks: dict[str, bool] = {}
        for level in self._levels:
            try:
                standing = await level.probe()
            except LevelFailed as error:
                failed.append(PassedOver(level.name, error.failure, str(error)))
                checks.update(error.checks)
                continue
            return level, SandboxReport(
                available=True,
                level=level.name,
                reason=None,
                passed_over=tuple(failed),
                abilities=level.abilities,
                memory=standing.memory,
                checks=standing.checks,
                python=standing.python,
            )
        return None, replace(_off(_why_none(failed)), passed_over=tuple(failed), checks=checks)

    async def _check_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._options.check_interval_s)
            await self.probe()


def _why_none(failed: Sequence[PassedOver]) -> str:
    if not failed:
        return "the operator allows no sandbox level (SANDBOX_LEVELS is empty)"
    if len(failed) == 1:
        return failed[0].reason
    return "; ".join(f"{item.level}: {item.reason}" for item in failed)


def _until(ends: float | None, limits: Limits) -> Limits:
    """Cut the wall time to what is left until `ends`."""
    if ends is None:
        return limits
    return replace(limits, wall_s=max(_SHORTEST_RUN_S, min(limits.wall_s, ends - time.monotonic())))


def _off(reason: str) -> SandboxReport:
    return SandboxReport(available=False, level=None, reason=reason)
