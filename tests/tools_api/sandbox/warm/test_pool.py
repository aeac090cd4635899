"""The pool gives every sandbox once, makes more when it is empty, and what breaks is replaced or left alone."""

import asyncio
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools_api.marked import PATIENCE_S, alive, new_marker, until_alive, until_gone
from tests.tools_api.sandbox.conftest import ATTACK, LIMITS, Attacker, need_bubblewrap
from tests.tools_api.sandbox.test_lifecycle import REPOSITORY, grown, held
from tests.tools_api.sandbox.warm.conftest import PROFILE, until_settled, warm_report, warmed, zygotes
from tools_api.sandbox import Job, ReadOnlyTree, SandboxOptions, launch
from tools_api.sandbox.limits import OWN_PROCESSES
from tools_api.sandbox.process import SandboxBroken
from tools_api.sandbox.process_tree import descendants, kernel_uids, proportional_bytes
from tools_api.sandbox.warm import zygote as zygote_module
from tools_api.sandbox.warm.inspection import inspect
from tools_api.sandbox.warm.worker import WarmWorker, WorkerPipes

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

MIB = 1 << 20
SLEEP = "import os; os.execv('/bin/sleep', ['sleep', '60', '{marker}'])"


async def test_an_empty_pool_forks_on_demand(warm: Attacker) -> None:
    many = 4 * PROFILE.workers
    before = warm_report(warm).runs
    said = await asyncio.gather(*(warm.attempt(f"said = {number}") for number in range(many)))
    assert said == [str(number) for number in range(many)]
    assert warm_report(warm).runs == before + many


async def test_the_pool_is_filled_again(warm: Attacker) -> None:
    await warm.attempt("said = 1")
    assert (await until_settled(warm)).waiting == PROFILE.workers


async def test_other_jobs_are_run_cold(warm: Attacker) -> None:
    before = warm_report(warm).runs
    job = warm.job("said = os.environ.get('EXTRA')")
    assert (await warm.sandbox.run(Job(argv=("/bin/echo", "cold")))).stdout == b"cold\n"
    assert (await warm.sandbox.run(replace(job, env={"EXTRA": "1"}))).report == b"1"
    assert (
        await warm.sandbox.run(replace(job, trees=(*job.trees, ReadOnlyTree(REPOSITORY / "CHANGELOG.md", "/opt/x"))))
    ).report
    assert warm_report(warm).runs == before


async def test_tighter_limits_of_a_job_hold(warm: Attacker) -> None:
    before = warm_report(warm).runs
    tighter = replace(LIMITS, processes=9, open_files=50, file_bytes=MIB, cpu_s=3, memory_bytes=100 * MIB)
    names = "RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_CPU"
    code = f"from resource import *; said = [getrlimit(name)[0] for name in ({names})]"
    assert (await warm.run(code, limits=tighter)).report == str([9 + OWN_PROCESSES, 50, MIB, 3]).encode()
    greedy = await warm.run("held = bytearray(os.urandom(1) * (150 << 20)); said = 1", limits=tighter)
    assert greedy.limit == "memory"
    assert warm_report(warm).runs == before + 2


async def test_a_job_with_a_smaller_workspace_gets_one(warm: Attacker) -> None:
    smaller = replace(LIMITS, workspace_bytes=MIB, scratch_bytes=2 * MIB)
    code = "said = [os.statvfs(p).f_blocks * os.statvfs(p).f_frsize for p in ('/workspace', '/tmp', '/dev/shm')]"
    assert (await warm.run(code, limits=smaller)).report == str([MIB, 2 * MIB, 2 * MIB]).encode()


async def test_cancelling_a_warm_run_leaves_no_process(warm: Attacker) -> None:
    marker = new_marker()
    before = warm_report(warm).runs
    running = asyncio.create_task(warm.run(SLEEP.format(marker=marker)))
    await until_alive(marker)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until_gone(marker)
    assert warm_report(warm).runs == before + 1


async def test_a_daemon_does_not_outlive_its_warm_run(warm: Attacker) -> None:
    marker = new_marker()
    code = f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv('/bin/sleep', ['sleep', '60', '{marker}'])
    os._exit(0)
os.wait()
"""
    assert (await warm.run(code)).exit_code == 0
    await until_gone(marker)


async def test_warm_runs_leave_nothing_behind(warm: Attacker) -> None:
    await asyncio.gather(*(warm.attempt("said = 1") for _ in range(4)))
    await until_settled(warm)
    before = held()
    for _ in range(5):
        await asyncio.gather(*(warm.attempt("said = 1") for _ in range(4)))
    await until_settled(warm)
    await _until(lambda: grown(before) == {}, lambda: grown(before))


async def test_no_process_of_the_warm_path_is_the_kernels_root(warm: Attacker) -> None:
    for zygote in zygotes():
        assert kernel_uids(zygote)
        assert 0 not in kernel_uids(zygote)


async def test_idle_memory_is_that_of_one_interpreter_and_little_more(warm: Attacker) -> None:
    """Without preloading: the limit of 250 MB with it is the bench's."""
    await until_settled(warm)
    boxes = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in zygotes()}
    totals = [sum(map(proportional_bytes, descendants(box))) for box in boxes]
    assert 0 < min(totals) < 50 * MIB  # other tests of this process may keep a zygote with packages


async def test_a_zygote_killed_at_work_takes_its_run_along_and_is_replaced() -> None:
    marker = new_marker()
    async with warmed(SandboxOptions(limits=LIMITS, warm=PROFILE)) as attacker:
        assert warm_report(attacker).ready
        others = set(zygotes())
        running = asyncio.create_task(attacker.run(SLEEP.format(marker=marker)))
        await until_alive(marker)
        (mine,) = [pid for pid in others if set(alive(marker)) & set(_below_the_box_of(pid))]
        os.kill(mine, signal.SIGKILL)
        outcome = await running
        assert (outcome.exit_code, outcome.limit) == (None, None)
        await until_gone(marker)
        assert await attacker.attempt("said = 'goes on'") == "goes on"
        await _until(lambda: warm_report(attacker).ready and mine not in zygotes(), lambda: warm_report(attacker))
        before = warm_report(attacker).runs
        assert await attacker.attempt("said = 'is warm again'") == "is warm again"
        assert warm_report(attacker).runs == before + 1


@pytest.mark.long
async def test_an_old_zygote_is_replaced_while_its_run_goes_on() -> None:
    profile = replace(PROFILE, renew_after_s=4)
    async with warmed(SandboxOptions(limits=replace(LIMITS, wall_s=60), warm=profile)) as attacker:
        first = set(zygotes())
        long = replace(LIMITS, wall_s=60)
        running = asyncio.create_task(attacker.run("import time; time.sleep(20); said = 'done'", limits=long))
        await _until(lambda: bool(set(zygotes()) - first), zygotes)
        assert not running.done()
        assert (await running).report == b"done"


async def test_a_tree_that_was_replaced_is_seen_by_the_next_run(open_folder: Path) -> None:
    script = open_folder / "tool" / "run.py"
    tree = ReadOnlyTree(script.parent, "/opt/tool")

    def install(said: str) -> None:
        draft = open_folder / "draft"
        draft.mkdir()
        (draft / "run.py").write_text(f"def main(payload, report):\n    report(b'{said}')\n")
        if script.parent.exists():
            script.parent.rename(open_folder / "old")
            shutil.rmtree(open_folder / "old")
        draft.rename(script.parent)

    install("first")
    job = Job(script="/opt/tool/run.py", trees=(tree,), limits=LIMITS)
    async with warmed(SandboxOptions(limits=LIMITS, warm=replace(PROFILE, trees=(tree,)))) as attacker:
        assert (await attacker.sandbox.run(job)).report == b"first"
        install("second")
        assert (await attacker.sandbox.run(job)).report == b"second"
        before = warm_report(attacker).runs
        await _until(lambda: warm_report(attacker).ready, lambda: warm_report(attacker))
        await until_settled(attacker)
        assert (await attacker.sandbox.run(job)).report == b"second"
        assert warm_report(attacker).runs == before + 1


@pytest.mark.parametrize(
    "hole",
    [
        ("confinement.py", " | _NEWNET", "", "shares namespaces: net"),
        ("confinement.py", "_unshare(_NEWCGROUP)", "pass", "shares namespaces: cgroup"),
        ("confinement.py", '_check(_libc.capset(ctypes.byref(header), nothing), "capset")', "", "CapEff"),
        ("confinement.py", "_prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))", "", "Seccomp"),
        ("zygote.py", "self._supervisor.restrict(limits.decode())", "", "limits are not set"),
        (
            "zygote.py",
            "_send_pidfd(self._control, number, worker)",
            "_send_pidfd(self._control, number, os.getppid())",
            "first process|can't be inspected",  # the second if the kill of the first impostor ended it
        ),
        ("zygote.py", '_send_pidfd(self._control, b"ready", os.getpid())', 'sys.exit("no room")', "no room"),
    ],
    ids=["network", "cgroups", "capabilities", "seccomp", "limits", "another-process", "no-zygote"],
)
async def test_a_warm_path_with_a_hole_is_turned_off_and_the_cold_one_stays(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, hole: tuple[str, str, str, str]
) -> None:
    script, right, wrong, reason = hole
    inside = open_folder / "inside"
    shutil.copytree(launch.SCRIPTS.source, inside, ignore=shutil.ignore_patterns("__pycache__"))
    text = (inside / script).read_text()
    assert text.count(right) == 1
    (inside / script).write_text(text.replace(right, wrong))
    monkeypatch.setattr(zygote_module, "SCRIPTS", ReadOnlyTree(inside, launch.SCRIPTS.target))
    async with warmed(SandboxOptions(limits=LIMITS, warm=PROFILE)) as attacker:
        report = warm_report(attacker)
        assert not report.ready
        assert re.search(reason, report.reason or ""), report
        assert await attacker.attempt("said = 'cold'") == "cold"
        assert warm_report(attacker).runs == 0


async def test_a_worker_that_is_ended_from_two_sides_closes_its_descriptor_once() -> None:
    child = subprocess.Popen(["/bin/sleep", "60"])
    gone: list[WarmWorker] = []
    worker = WarmWorker(os.pidfd_open(child.pid), await WorkerPipes.make(), LIMITS, gone.append)
    await asyncio.gather(worker.gone(), worker.gone())
    await worker.gone()
    assert gone == [worker]
    assert child.wait() == -signal.SIGKILL


async def test_a_process_that_is_no_worker_is_not_believed() -> None:
    with pytest.raises(SandboxBroken, match="uid"):
        inspect(os.getpid(), uid=12345, limits=LIMITS, apart_from=[])
    if os.geteuid() != 0:
        with pytest.raises(SandboxBroken, match="first process"):
            inspect(os.getpid(), uid=os.geteuid(), limits=LIMITS, apart_from=[])


async def test_killing_the_service_ends_zygote_and_workers() -> None:
    need_bubblewrap()
    marker = secrets.token_hex(8)
    script = f"""
    import asyncio
    from pathlib import Path
    from tools_api.sandbox import Job, ReadOnlyTree, Sandbox, SandboxOptions, WarmProfile
    async def main():
        tree = ReadOnlyTree(Path({str(ATTACK.source)!r}), "/opt/attack.py")
        sandbox = Sandbox(SandboxOptions(warm=WarmProfile(workers=2, trees=(tree,), env={{"MARKER": "{marker}"}})))
        await sandbox.start()
        while not (sandbox.warm.ready and sandbox.warm.waiting == 2):
            await asyncio.sleep(0.05)
        code = b"import time; time.sleep(60)"
        job = Job(script=tree.target, payload=code, trees=(tree,), env={{"MARKER": "{marker}"}})
        running = asyncio.gather(sandbox.run(job), sandbox.run(job))
        while sandbox.warm.runs < 2 or sandbox.warm.waiting < 2:
            await asyncio.sleep(0.05)
        print("ready", flush=True)
        await running
    asyncio.run(main())
    """
    service = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
        stdout=subprocess.PIPE,
    )
    try:
        assert service.stdout is not None
        while (line := await asyncio.to_thread(service.stdout.readline)) != b"ready\n":
            assert line, "it ended before"
        started = _with_environment(marker)
    finally:
        service.send_signal(signal.SIGKILL)
        service.communicate()
    assert len(started) >= 5, "the zygote, two that run with a child each, and two that wait"
    await _until(lambda: _with_environment(marker) == [], lambda: _with_environment(marker))


def _with_environment(marker: str) -> list[int]:
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def _below_the_box_of(zygote: int) -> list[int]:
    """Return what descends from the first process of a zygote's box, its workers included."""
    box = int(Path(f"/proc/{zygote}/stat").read_text().rpartition(")")[2].split()[1])
    return list(descendants(box))


async def _until(holds: Callable[[], bool], seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, seen()
        await asyncio.sleep(0.05)
