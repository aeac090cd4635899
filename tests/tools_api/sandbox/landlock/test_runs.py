"""What a run can do here, how it ends, and that nothing of it stays."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools_api.marked import alive, new_marker, until_alive, until_gone
from tests.tools_api.sandbox.conftest import LIMITS, Attacker
from tests.tools_api.sandbox.landlock.conftest import REPOSITORY, level, need_landlock, usable_interpreter
from tools_api.sandbox import Job, LevelFailed, Sandbox, SandboxFile, SandboxOptions

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]


def _folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("twinport-runs-*/tmp*"))


async def test_files_go_in_and_come_out(confined: Attacker) -> None:
    files = (SandboxFile("in.txt", b"before"),)
    outcome = await confined.run("said = open('in.txt').read(); open('out.txt', 'w').write('after')", files=files)
    assert (outcome.report, outcome.files) == (b"before", (SandboxFile("out.txt", b"after"),))


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess; said = subprocess.run(['/bin/echo', 'hi'], capture_output=True).stdout",
        "import socket; a, b = socket.socketpair(); a.send(b'hi'); said = b.recv(2)",
        "import tempfile, pathlib; p = pathlib.Path(tempfile.mkdtemp(), 'x'); p.touch(); p.write_bytes(b'hi');"
        " said = p.read_bytes()",
        "import shutil; open('a', 'w').write('hi'); shutil.copy2('a', 'b'); said = open('b', 'rb').read()",
        "import asyncio, threading; r = []; t = threading.Thread(target=lambda: r.append(b'hi')); t.start(); t.join();"
        " asyncio.run(asyncio.sleep(0)); said = r[0]",
    ],
    ids=["programs", "pairs", "temporary files", "copies", "threads"],
)
async def test_ordinary_programs_work(confined: Attacker, code: str) -> None:
    assert (await confined.attempt(code)).strip("\n") in {"b'hi'", "b'hi\\n'"}


@pytest.mark.parametrize(
    ("code", "limit", "limits"),
    [
        ("import time; time.sleep(60)", "timeout", {"wall_s": 0.5}),
        ("import time; held = [bytearray(os.urandom(1) * (64 << 20)) for _ in range(8)]; time.sleep(60)", "memory", {}),
        ("while True: os.write(1, b'x' * 65536)", "output", {}),
        ("import time; [open(f'f{n}', 'wb').write(b'x' * (4 << 20)) for n in range(9)]; time.sleep(60)", "files", {}),
        ("import time; [open(f'f{n}', 'wb') for n in range(500) ]; time.sleep(60)", "files", {"open_files": 2000}),
        ("import time; d = '.'\nfor n in range(90): d += '/d'; os.mkdir(d)\ntime.sleep(60)", "files", {}),
    ],
    ids=["time", "memory", "output", "bytes", "files", "depth"],
)
async def test_a_limit_ends_it(confined: Attacker, code: str, limit: str, limits: dict[str, float]) -> None:
    most = replace(LIMITS, wall_s=60, cpu_s=60, memory_bytes=200 << 20, workspace_bytes=16 << 20, inodes=300)
    outcome = await confined.run(code, limits=replace(most, **limits))
    assert outcome.limit == limit, outcome
    assert len(outcome.stdout) <= LIMITS.output_bytes


async def test_processes_are_limited(confined: Attacker) -> None:
    code = """
import signal
children = 0
try:
    while children < 300:
        if os.fork() == 0: signal.pause()
        children += 1
except BlockingIOError: pass
said = children"""
    assert 0 < int(await confined.attempt(code)) < 300


async def test_daemons_end_with_their_run_and_no_folder_stays(confined: Attacker) -> None:
    marker, before = new_marker(), _folders()
    daemon = f"setsid sh -c 'setsid sleep 600 {marker} & exit' & sleep 0.5"
    outcome = await confined.sandbox.run(Job(argv=("/bin/sh", "-c", daemon)))
    assert outcome.exit_code == 0, outcome
    assert alive(marker) == []
    assert _folders() <= before


async def test_cancelling_leaves_no_process_and_no_folder(confined: Attacker) -> None:
    marker, before = new_marker(), _folders()
    job = Job(argv=("/bin/sh", "-c", f"setsid sleep 600 {marker} & sleep 600 {marker}"))
    running = asyncio.create_task(confined.sandbox.run(job))
    await until_alive(marker, count=2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert alive(marker) == []
    assert _folders() <= before


async def test_a_fork_bomb_ends_at_once(confined: Attacker) -> None:
    marker = new_marker()
    bomb = f"""# {marker}
import os
while True:
    try: os.fork()
    except BlockingIOError: pass"""
    job = Job(argv=(usable_interpreter().executable, "-I", "-S", "-c", bomb), limits=replace(LIMITS, wall_s=2))
    running = asyncio.create_task(confined.sandbox.run(job))
    await until_alive(marker, count=10)
    assert (await running).limit in {"timeout", "cpu"}
    assert alive(marker) == []


async def test_killing_the_service_leaves_no_process() -> None:
    need_landlock()
    marker = new_marker()
    script = f"""
    import asyncio
    from tests.tools_api.sandbox.landlock.conftest import level
    from tools_api.sandbox import Job, Limits
    async def main():
        confined = level()
        job = Job(argv=("/bin/sh", "-c", "setsid sleep 600 {marker[:9]}" + "{marker[9:]} & sleep 600"))
        await asyncio.gather(*(confined.run(job, Limits(wall_s=600), None) for _ in range(2)))
    asyncio.run(main())
    """
    path = os.pathsep.join([str(REPOSITORY), *sys.path])
    service = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd="/", env={**os.environ, "PYTHONPATH": path}
    )
    try:
        await until_alive(marker, count=2)
    finally:
        service.send_signal(signal.SIGKILL)
        service.wait()
    await until_gone(marker)


async def test_folders_that_a_killed_service_left_are_removed_by_the_next() -> None:
    need_landlock()
    script = "from tools_api.sandbox.landlock.folders import RunFolders; print(RunFolders().create(None).path.parent)"
    path = os.pathsep.join([str(REPOSITORY), *sys.path])
    left = subprocess.run(
        [sys.executable, "-c", script + "; import os; os._exit(9)"],
        env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    assert Path(left).is_dir()
    confined = level()
    await confined.probe()
    await confined.aclose()
    assert not Path(left).exists()


async def test_two_services_do_not_share_uids() -> None:
    need_landlock()
    one, two = level(), level()
    job = Job(argv=("/bin/sh", "-c", "id -u; sleep 0.3"))
    outcomes = await asyncio.gather(*(confined.run(job, LIMITS, None) for confined in (one, two) for _ in range(2)))
    for confined in (one, two):
        await confined.aclose()
    assert [outcome.exit_code for outcome in outcomes] == [0] * 4
    assert len({outcome.stdout for outcome in outcomes}) == (4 if os.geteuid() == 0 else 1)


async def test_an_older_kernel_does_for_root_and_not_for_an_ordinary_user() -> None:
    need_landlock()
    old = level(most_abi=1)
    if os.geteuid() == 0:
        assert all((await old.probe()).checks.values())
    else:
        with pytest.raises(LevelFailed, match=r"6\.12"):
            await old.probe()
    await old.aclose()


async def test_without_landlock_nothing_runs() -> None:
    sandbox = Sandbox(SandboxOptions(limits=LIMITS), levels=[level(most_abi=0)])
    await sandbox.start()
    assert not sandbox.report.available
    assert "Landlock" in (sandbox.report.reason or "")
    await sandbox.aclose()


async def test_the_level_is_never_chosen_unless_it_is_named() -> None:
    assert "landlock-seccomp" not in SandboxOptions().levels
