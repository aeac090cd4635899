"""Starting and ending: nothing outlives a run, whoever ends it; nothing grows; slots are kept."""

import asyncio
import gc
import os
import secrets
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from tests.tools_api.marked import alive, until_alive, until_gone
from tests.tools_api.sandbox.conftest import LIMITS, Attacker, need_bubblewrap
from tools_api.sandbox import Job, Sandbox, SandboxBusy, SandboxOptions
from tools_api.sandbox.limits import OWN_PROCESSES

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

REPOSITORY = Path(__file__).parents[3]


def _sleeper(marker: str) -> Job:
    return Job(argv=("/bin/sh", "-c", f"setsid sleep 60 & sleep 60; : {marker}"))


async def test_cancelling_a_run_leaves_no_process(attacker: Attacker) -> None:
    marker = secrets.token_hex(8)
    running = asyncio.create_task(attacker.sandbox.run(_sleeper(marker)))
    await until_alive(marker)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert alive(marker) == []


async def test_cancelling_at_any_moment_of_the_start_leaves_no_process(attacker: Attacker) -> None:
    before = _children()
    for number in range(12):
        running = asyncio.create_task(attacker.attempt("import time; time.sleep(60)"))
        await asyncio.sleep(number * 0.004)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert _children() <= before


async def test_killing_the_service_leaves_no_process() -> None:
    need_bubblewrap()
    marker = secrets.token_hex(8)
    script = f"""
    import asyncio
    from tools_api.sandbox import Job, Sandbox, SandboxOptions
    async def main():
        sandbox = Sandbox(SandboxOptions())
        await sandbox.start()
        job = Job(argv=("/bin/sh", "-c", "setsid sleep 60 & sleep 60; : {marker[:8]}" + "{marker[8:]}"))
        await asyncio.gather(*(sandbox.run(job) for _ in range(4)))
    asyncio.run(main())
    """
    service = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
    )
    try:
        await until_alive(marker, count=4)
    finally:
        service.send_signal(signal.SIGKILL)
        service.wait()
    await until_gone(marker)


async def test_a_run_outlives_the_thread_that_asked_for_it(attacker: Attacker) -> None:
    """--die-with-parent means the parent's thread: runs are started from the event loop's, which stays."""
    loop = asyncio.get_running_loop()
    asked: list[object] = []
    job = Job(argv=("/bin/sh", "-c", "sleep 0.4; echo survived"))
    thread = threading.Thread(
        target=lambda: asked.append(asyncio.run_coroutine_threadsafe(attacker.sandbox.run(job), loop))
    )
    thread.start()
    thread.join()
    outcome = await asyncio.wrap_future(asked[0])  # type: ignore[arg-type]
    assert outcome.stdout == b"survived\n"


async def test_it_works_under_uvloop_in_another_thread() -> None:
    need_bubblewrap()
    seen: list[object] = []

    async def main() -> None:
        sandbox = Sandbox(SandboxOptions(limits=LIMITS))
        await sandbox.start()
        good = await sandbox.run(Job(argv=("/bin/echo", "hello")))
        flood = await sandbox.run(Job(argv=("/bin/sh", "-c", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxx; done")))
        late = await sandbox.run(Job(argv=("/bin/sleep", "9"), limits=replace(LIMITS, wall_s=0.3)))
        seen.extend([good.stdout, flood.limit, late.limit])
        before = _descriptors()
        for _ in range(5):
            await sandbox.run(Job(argv=("/bin/echo", "hello")))
        seen.append(_descriptors() - before)
        await sandbox.aclose()

    thread = threading.Thread(target=lambda: uvloop.run(main()))
    thread.start()
    await asyncio.to_thread(thread.join, 30)
    assert seen == [b"hello\n", "output", "timeout", 0]


async def test_a_caller_that_cannot_get_a_slot_in_time_is_told() -> None:
    need_bubblewrap()
    sandbox = Sandbox(SandboxOptions(concurrency=1))
    await sandbox.start()
    long = asyncio.create_task(sandbox.run(Job(argv=("/bin/sleep", "9"))))
    await asyncio.sleep(0.1)
    with pytest.raises(SandboxBusy) as raised:
        await sandbox.run(Job(argv=("/bin/true",)), within_s=0.1)
    assert raised.value.status == 503
    long.cancel()
    await asyncio.gather(long, return_exceptions=True)
    assert (await sandbox.run(Job(argv=("/bin/true",)), within_s=5)).exit_code == 0
    await sandbox.aclose()


async def test_a_job_cannot_raise_the_operators_limits(attacker: Attacker) -> None:
    wanted = replace(LIMITS, processes=10_000, open_files=100_000, output_bytes=1 << 30)
    code = "import resource; said = [resource.getrlimit(n) for n in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE)]"
    outcome = await attacker.run(code, limits=wanted)
    assert outcome.report == str([(LIMITS.processes + OWN_PROCESSES,) * 2, (LIMITS.open_files,) * 2]).encode()


async def test_the_receipt_says_what_was_used(attacker: Attacker) -> None:
    code = """
held = bytearray(os.urandom(1) * (100 << 20))
import time
end = time.process_time() + 0.3
while time.process_time() < end: pass
"""
    outcome = await attacker.run(code)
    assert 0.25 < outcome.cpu_s < 2
    assert 100 << 20 <= outcome.peak_memory_bytes < 250 << 20
    assert outcome.wall_s >= 0.3


@pytest.mark.slow
async def test_two_hundred_runs_leave_nothing_behind(attacker: Attacker) -> None:
    async def some(number: int) -> None:
        outcomes = await asyncio.gather(*(attacker.attempt(f"said = {number}") for _ in range(8)))
        assert outcomes == [str(number)] * 8

    await some(0)
    gc.collect()  # what other tests left; these runs have to leave nothing even to the collector
    before = held()
    for number in range(25):
        await some(number)
    assert grown(before) == {}


async def test_twenty_runs_leave_nothing_behind(attacker: Attacker) -> None:
    await attacker.attempt("said = 1")
    gc.collect()  # what other tests left; these runs have to leave nothing even to the collector
    before = held()
    for _ in range(5):
        await asyncio.gather(*(attacker.attempt("said = 1") for _ in range(4)))
    assert grown(before) == {}


def held() -> dict[str, int]:
    return {
        "descriptors": _descriptors(),
        "children": _children(),
        "control groups": _control_groups(),
        "mounts": _mounts(),
    }


def grown(before: dict[str, int]) -> dict[str, int]:
    """Return what is more than before; less can be, since what other tests left goes at its own time."""
    return {name: count - before[name] for name, count in held().items() if count > before[name]}


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _children() -> int:
    """Count our children, zombies included."""
    return len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def _control_groups() -> int:
    """Others' come and go while one looks, which `os.walk` does not mind."""
    ours = f"twinport-sandbox-{os.getpid()}-"
    found = ((Path(folder).name, names) for folder, names, _ in os.walk("/sys/fs/cgroup"))
    return sum(name.startswith("run-") for folder, names in found if folder.startswith(ours) for name in names)


def _mounts() -> int:
    return len(Path("/proc/self/mounts").read_text().splitlines())
