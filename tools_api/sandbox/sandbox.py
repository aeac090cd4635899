"""The sandbox as the rest of the tools API sees it: it runs jobs, or says why it can't. It never runs anything bare."""

import asyncio
import time
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from shared.errors import Unavailable
from shared.logging import get_logger
from tools_api.sandbox.interpreter import Interpreter, own_interpreter
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job, Level, Outcome, OutputListener, SandboxReport, SandboxUnavailable
from tools_api.sandbox.process import SandboxBroken
from tools_api.sandbox.selftest import SelfTestFailed, run_self_test
from tools_api.sandbox.spawner import Spawner, Unusable, explain_broken, prepare

_log = get_logger(__name__)


class SandboxBusy(Unavailable):
    """All slots were taken for as long as the caller could wait."""

    code = "sandbox_busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """What an operator decides. `limits` are defaults and maxima at once; empty `levels` switch everything off."""

    levels: tuple[Level, ...] = ("ns-seccomp",)
    limits: Limits = field(default_factory=Limits)
    concurrency: int = 8
    check_interval_s: float = 600.0
    bubblewrap: Path | None = None
    """By default the one on PATH."""
    interpreter: Interpreter | None = None
    """By default the one that runs the service."""
    use_cgroups: bool = True


class Sandbox:
    """Runs jobs in isolation. `await start()` before, `await aclose()` after; `report` says how it stands."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self._interpreter = options.interpreter or own_interpreter()
        self._report = _off("the sandbox has not been started")
        self._slots = asyncio.Semaphore(options.concurrency)
        self._spawner: Spawner | None = None
        self._probing = asyncio.Lock()
        self._checking: asyncio.Task[None] | None = None

    @property
    def report(self) -> SandboxReport:
        """Say how the sandbox stands, from the last self-test."""
        return self._report

    @property
    def limits(self) -> Limits:
        """What one run may use at most."""
        return self._options.limits

    async def start(self) -> None:
        """Run the self-test and repeat it from time to time. What fails makes the sandbox unavailable, nothing else."""
        await self.probe()
        self._checking = asyncio.create_task(self._check_for_ever())

    async def aclose(self) -> None:
        """Stop checking and let everything go. Runs end with their callers."""
        if self._checking:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)
        self._report = _off("the sandbox has been stopped")
        if self._spawner:
            self._spawner.close()
            self._spawner = None

    async def probe(self) -> SandboxReport:
        """Run the self-test now and return what it found."""
        async with self._probing:
            report = await self._examine()
        if report.available != self._report.available or report.reason != self._report.reason:
            _log.info("sandbox_checked", available=report.available, level=report.level, reason=report.reason)
        self._report = report
        return report

    async def run(self, job: Job, *, within_s: float | None = None, on_output: OutputListener | None = None) -> Outcome:
        """Run `job` in a fresh sandbox; `within_s` bounds the wait for a free slot and the run together.
        `on_output` hears what it prints while it runs.

        Raises `SandboxUnavailable` if no level works, `SandboxBusy` if no slot came free in time.
        """
        self._spawner_or_raise()
        started = time.monotonic()
        limits = _within(job.limits or self.limits, self.limits)
        await self._take_slot(within_s)
        try:
            if within_s is not None:
                left = within_s - (time.monotonic() - started)
                limits = replace(limits, wall_s=max(0.05, min(limits.wall_s, left)))
            return await self._run_now(job, limits, on_output)
        finally:
            self._slots.release()

    async def _take_slot(self, within_s: float | None) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._slots.acquire()
        except TimeoutError:
            raise SandboxBusy("All sandboxes are busy; try again in a moment.", retry_after=1.0) from None

    async def _run_now(self, job: Job, limits: Limits, on_output: OutputListener | None) -> Outcome:
        try:
            return await _run(self._spawner_or_raise(), job, limits, on_output)
        except (SandboxBroken, Unusable) as error:
            _log.warning("sandbox_broken", reason=str(error))
            report = await self.probe()
        raise SandboxUnavailable(
            f"The sandbox failed to start: {report.reason or 'it works again, repeat the call'}.", retry_after=1.0
        )

    def _spawner_or_raise(self) -> Spawner:
        if self._spawner is None or not self._report.available:
            raise SandboxUnavailable(f"Code can't be run safely on this server: {self._report.reason}.")
        return self._spawner

    async def _examine(self) -> SandboxReport:
        if "ns-seccomp" not in self._options.levels:
            return _off("the operator allows no sandbox level (SANDBOX_LEVELS is empty)")
        try:
            spawner = self._spawner = self._spawner or prepare(
                bubblewrap=self._options.bubblewrap,
                interpreter=self._interpreter,
                use_cgroups=self._options.use_cgroups,
            )
            checks = await run_self_test(
                lambda job: _run(spawner, job, _within(job.limits or self.limits, self.limits))
            )
        except Unusable as error:
            return _off(str(error))
        except SandboxBroken as error:
            return _off(explain_broken(str(error)))
        except SelfTestFailed as error:
            return replace(_off(f"the self-test failed: {error}"), checks=error.checks)
        except OSError as error:  # no room or no descriptors for the self-test's bait
            return _off(f"the self-test could not be made: {error.strerror}")
        return SandboxReport(
            available=True,
            level="ns-seccomp",
            reason=None,
            memory="cgroup" if spawner.cgroups else "watchdog",
            checks=checks,
            python=self._interpreter.version,
        )

    async def _check_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._options.check_interval_s)
            await self.probe()


async def _run(spawner: Spawner, job: Job, limits: Limits, on_output: OutputListener | None = None) -> Outcome:
    async with spawner.spawn(job, limits) as (execution, cgroup):
        return await execution.do(job, cgroup, on_output)


def _off(reason: str) -> SandboxReport:
    return SandboxReport(available=False, level=None, reason=reason)


def _within(wanted: Limits, maximum: Limits) -> Limits:
    """Cut every limit to the operator's."""
    names = [limit.name for limit in fields(Limits)]
    return Limits(**{name: min(getattr(wanted, name), getattr(maximum, name)) for name in names})
