"""The level `ns-seccomp`: bubblewrap with a seccomp filter, on Linux machines that allow namespaces."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tools_api.sandbox.interpreter import Interpreter
from tools_api.sandbox.level import LevelFailed, Opened, Standing
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Abilities, Job, Level, Outcome, OutputListener
from tools_api.sandbox.process import SandboxBroken
from tools_api.sandbox.selftest import SelfTestFailed, run_self_test
from tools_api.sandbox.spawner import Spawner, Unusable, explain_broken, prepare
from tools_api.sandbox.warm.pool import WarmReport
from tools_api.sandbox.warm.profile import WarmProfile


class NsSeccomp:
    """Runs each job in a sandbox that waits for it, or that bubblewrap makes for it."""

    name: Level = "ns-seccomp"
    abilities = Abilities(programs=True, native_code=True, channels=True)

    def __init__(
        self,
        *,
        bubblewrap: Path | None,
        interpreter: Interpreter,
        use_cgroups: bool,
        most: Limits,
        warm: WarmProfile | None = None,
    ) -> None:
        self._bubblewrap = bubblewrap
        self._interpreter = interpreter
        self._use_cgroups = use_cgroups
        self._most = most
        self._warm = replace(warm, limits=most) if warm else None
        self._spawner: Spawner | None = None

    @property
    def warm(self) -> WarmReport | None:
        """Say how the warm path stands; None if there is none."""
        return self._spawner.warm.report if self._spawner and self._spawner.warm else None

    async def probe(self) -> Standing:
        """Run the self-test in real sandboxes of the real recipe. Raises `LevelFailed`."""
        try:
            spawner = self._opened()
            checks = await run_self_test(
                lambda job: _run(spawner, job, (job.limits or self._most).within(self._most), None)
            )
        except Unusable as error:
            raise LevelFailed(str(error), failure="missing") from None
        except SandboxBroken as error:
            raise LevelFailed(explain_broken(str(error))) from None
        except SelfTestFailed as error:
            raise LevelFailed(f"the self-test failed: {error}", failure="self_test", checks=error.checks) from None
        except OSError as error:  # no room or no descriptors for the self-test's bait
            raise LevelFailed(f"the self-test could not be made: {error.strerror}", failure="self_test") from None
        if spawner.warm:
            spawner.warm.start()
        return Standing(
            memory="cgroup" if spawner.cgroups else "watchdog", python=self._interpreter.version, checks=checks
        )

    async def run(self, job: Job, limits: Limits, on_output: OutputListener | None) -> Outcome:
        """Run `job` in a fresh sandbox. Raises `LevelFailed` if it did not come up."""
        try:
            return await _run(self._opened(), job, limits, on_output)
        except Unusable as error:
            raise LevelFailed(str(error), failure="missing") from None
        except SandboxBroken as error:
            raise LevelFailed(explain_broken(str(error))) from None

    @asynccontextmanager
    async def open(self, job: Job, limits: Limits) -> AsyncGenerator[Opened]:
        """Start a sandbox for a session. Raises `LevelFailed` if it did not come up."""
        async with AsyncExitStack() as stack:
            try:
                execution, cgroup = await stack.enter_async_context(self._opened().spawn(job, limits))
            except Unusable as error:
                raise LevelFailed(str(error), failure="missing") from None
            except SandboxBroken as error:
                raise LevelFailed(explain_broken(str(error))) from None
            yield execution.process, cgroup

    async def aclose(self) -> None:
        """Let the spawner go."""
        if self._spawner:
            await self._spawner.aclose()
            self._spawner = None

    def _opened(self) -> Spawner:
        if self._spawner is None:
            self._spawner = prepare(
                bubblewrap=self._bubblewrap,
                interpreter=self._interpreter,
                use_cgroups=self._use_cgroups,
                warm=self._warm,
            )
        return self._spawner


async def _run(spawner: Spawner, job: Job, limits: Limits, on_output: OutputListener | None) -> Outcome:
    async with spawner.spawn(job, limits) as (execution, cgroup):
        return await execution.do(job, cgroup, on_output)
