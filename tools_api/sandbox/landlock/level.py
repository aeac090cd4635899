"""The level as `sandbox.py` sees it."""

from tools_api.sandbox.interpreter import Interpreter
from tools_api.sandbox.landlock.selftest import run_self_test
from tools_api.sandbox.landlock.spawner import LandlockSpawner, prepare
from tools_api.sandbox.level import LevelFailed, Standing
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Abilities, Job, Level, Outcome, OutputListener, SandboxUnavailable
from tools_api.sandbox.process import SandboxBroken
from tools_api.sandbox.selftest import SelfTestFailed
from tools_api.sandbox.spawner import Unusable


class LandlockSeccomp:
    """Runs each job in a confined process of its own. `most_abi` has it make do with less than this kernel offers."""

    name: Level = "landlock-seccomp"
    abilities = Abilities(programs=True, native_code=True)

    def __init__(self, *, interpreter: Interpreter, most: Limits, most_abi: int | None = None) -> None:
        self._interpreter = interpreter
        self._most = most
        self._most_abi = most_abi
        self._spawner: LandlockSpawner | None = None

    async def probe(self) -> Standing:
        """Run the self-test in real runs of the real recipe. Raises `LevelFailed`."""
        try:
            spawner = self._opened()
            checks = await run_self_test(
                lambda job: _run(spawner, job, (job.limits or self._most).within(self._most), None)
            )
        except Unusable as error:
            raise LevelFailed(str(error), failure="missing") from None
        except SandboxBroken as error:
            raise LevelFailed(_explained(error)) from None
        except SelfTestFailed as error:
            raise LevelFailed(f"the self-test failed: {error}", failure="self_test", checks=error.checks) from None
        except OSError as error:  # no room or no descriptors for the self-test's bait
            raise LevelFailed(f"the self-test could not be made: {error.strerror}", failure="self_test") from None
        return Standing(memory="watchdog", python=self._interpreter.version, checks=checks)

    async def run(self, job: Job, limits: Limits, on_output: OutputListener | None) -> Outcome:
        """Run `job` confined. Raises `LevelFailed` if it did not come up, `SandboxUnavailable` if it never can here."""
        if job.needs_namespaces:
            raise SandboxUnavailable(
                f"The sandbox level {self.name} has no network of its own that this program needs."
            )
        try:
            return await _run(self._opened(), job, limits, on_output)
        except Unusable as error:
            raise LevelFailed(str(error), failure="missing") from None
        except SandboxBroken as error:
            raise LevelFailed(_explained(error)) from None

    async def aclose(self) -> None:
        """Remove the folders of the runs."""
        if self._spawner:
            self._spawner.close()
            self._spawner = None

    def _opened(self) -> LandlockSpawner:
        if self._spawner is None:
            self._spawner = prepare(interpreter=self._interpreter, most_abi=self._most_abi)
        return self._spawner


async def _run(spawner: LandlockSpawner, job: Job, limits: Limits, on_output: OutputListener | None) -> Outcome:
    async with spawner.spawn(job, limits) as (execution, placed):
        return await execution.do(placed, None, on_output)


def _explained(error: SandboxBroken) -> str:
    return f"a run could not be confined ({error})"
