"""Which level is used: the best of the operator's list that proves itself, and never one that is not on it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tools_api.sandbox import (
    Abilities,
    Job,
    Level,
    LevelFailed,
    Limits,
    Outcome,
    Sandbox,
    SandboxOptions,
    SandboxUnavailable,
    Standing,
)
from tools_api.sandbox.level import Failure
from tools_api.sandbox.outcome import OutputListener

EVERYTHING = Abilities(programs=True, native_code=True)
SCRIPT = Job(script="/opt/script.py")


@dataclass
class FakeLevel:
    """A level that isolates as long as `fails` is None, and starts as long as `breaks` is None."""

    name: Level
    abilities: Abilities = EVERYTHING
    fails: str | None = None
    breaks: str | None = None
    failure: Failure = "self_test"
    probes: int = 0
    ran: list[Job] = field(default_factory=list[Job])
    limits: list[Limits] = field(default_factory=list[Limits])
    closed: bool = False

    async def probe(self) -> Standing:
        self.probes += 1
        await asyncio.sleep(0)
        if self.fails:
            raise LevelFailed(self.fails, failure=self.failure, checks={"secret_unreadable": False})
        return Standing(memory="watchdog", python="3.11", checks={"secret_unreadable": True})

    async def run(self, job: Job, limits: Limits, on_output: OutputListener | None) -> Outcome:
        await asyncio.sleep(0)
        if self.breaks:
            raise LevelFailed(self.breaks)
        self.ran.append(job)
        self.limits.append(limits)
        return Outcome(exit_code=0, stdout=self.name.encode())

    async def aclose(self) -> None:
        self.closed = True


@asynccontextmanager
async def _started(levels: Sequence[FakeLevel], *, check_interval_s: float = 600) -> AsyncGenerator[Sandbox]:
    sandbox = Sandbox(SandboxOptions(check_interval_s=check_interval_s), levels=levels)
    await sandbox.start()
    try:
        yield sandbox
    finally:
        await sandbox.aclose()


def _two() -> tuple[FakeLevel, FakeLevel]:
    return FakeLevel("ns-seccomp"), FakeLevel("wasi", Abilities(programs=False, native_code=False))


async def test_the_best_level_is_used_and_the_others_are_left_alone() -> None:
    best, other = _two()
    async with _started([best, other]) as sandbox:
        assert (sandbox.report.level, sandbox.report.passed_over) == ("ns-seccomp", ())
        assert (await sandbox.run(SCRIPT)).stdout == b"ns-seccomp"
    assert (best.probes, other.probes) == (1, 0)


async def test_a_failed_self_test_moves_down_the_list_and_says_why() -> None:
    best, other = _two()
    best.fails = "the self-test failed: secret_unreadable was 'succeeded'"
    async with _started([best, other]) as sandbox:
        report = sandbox.report
        assert (report.available, report.level, report.abilities) == (True, "wasi", other.abilities)
        assert [(item.level, item.failure, item.reason) for item in report.passed_over] == [
            ("ns-seccomp", "self_test", best.fails)
        ]
        assert (await sandbox.run(SCRIPT)).stdout == b"wasi"
    assert best.ran == []


async def test_below_the_list_there_is_nothing() -> None:
    best, other = _two()
    best.fails, other.fails = "no namespaces here", "no memory here"
    async with _started([best, other]) as sandbox:
        assert (sandbox.report.available, sandbox.report.level) == (False, None)
        assert sandbox.report.reason == "ns-seccomp: no namespaces here; wasi: no memory here"
        with pytest.raises(SandboxUnavailable) as raised:
            await sandbox.run(SCRIPT)
    assert (raised.value.status, raised.value.code) == (503, "sandbox_unavailable")
    assert best.ran == other.ran == []


@pytest.mark.parametrize("levels", [(), ("ns-seccomp",)])
def test_only_named_levels_are_made(levels: tuple[Level, ...]) -> None:
    from tools_api.sandbox.sandbox import make_levels

    assert tuple(level.name for level in make_levels(SandboxOptions(levels=levels))) == levels


async def test_a_run_whose_level_breaks_goes_on_at_the_next_one() -> None:
    best, other = _two()
    async with _started([best, other]) as sandbox:
        best.breaks = best.fails = "bubblewrap could not set up a sandbox"
        assert (await sandbox.run(SCRIPT)).stdout == b"wasi"
        assert sandbox.report.level == "wasi"


async def test_a_run_whose_last_level_breaks_is_refused_and_so_are_the_next() -> None:
    (only, _) = _two()
    async with _started([only]) as sandbox:
        only.breaks = only.fails = "bubblewrap could not set up a sandbox"
        for _ in range(2):
            with pytest.raises(SandboxUnavailable, match="bubblewrap could not set up"):
                await sandbox.run(SCRIPT)
    assert only.probes == 2
    assert only.ran == []


async def test_a_level_that_passes_its_self_test_and_never_starts_a_run_is_not_tried_for_ever() -> None:
    (only, _) = _two()
    async with _started([only]) as sandbox:
        only.breaks = "out of descriptors"
        with pytest.raises(SandboxUnavailable) as raised:
            await sandbox.run(SCRIPT)
    assert raised.value.retry_after == 1.0
    assert only.probes == 3  # at the start, and after each attempt


async def test_many_runs_that_break_at_once_lead_to_one_choice() -> None:
    best, other = _two()
    async with _started([best, other]) as sandbox:
        best.breaks = best.fails = "gone"
        outcomes = await asyncio.gather(*(sandbox.run(SCRIPT) for _ in range(8)))
        assert {outcome.stdout for outcome in outcomes} == {b"wasi"}
    assert (best.probes, other.probes) == (2, 1)


async def test_the_periodic_check_moves_down_and_up_again() -> None:
    best, other = _two()
    async with _started([best, other], check_interval_s=0.01) as sandbox:
        best.fails = "namespaces were forbidden"
        await _until_level(sandbox, "wasi")
        best.fails = None
        await _until_level(sandbox, "ns-seccomp")
        assert sandbox.report.passed_over == ()


async def test_a_program_is_refused_where_only_python_runs() -> None:
    best, other = _two()
    best.fails = "gone"
    async with _started([best, other]) as sandbox:
        with pytest.raises(SandboxUnavailable, match="Python code only"):
            await sandbox.run(Job(argv=("/bin/true",)))
    assert other.ran == []


async def test_waiting_and_the_second_attempt_count_into_the_callers_time() -> None:
    best, other = _two()
    async with _started([best, other]) as sandbox:
        best.breaks = best.fails = "gone"
        await sandbox.run(SCRIPT, within_s=5)
    assert other.limits[0].wall_s < 5


async def test_closing_closes_every_level_and_runs_nothing_more() -> None:
    levels = _two()
    async with _started(levels) as sandbox:
        pass
    assert all(level.closed for level in levels)
    with pytest.raises(SandboxUnavailable, match="stopped"):
        await sandbox.run(SCRIPT)


async def _until_level(sandbox: Sandbox, level: Level) -> None:
    deadline = time.monotonic() + 10
    while sandbox.report.level != level:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
