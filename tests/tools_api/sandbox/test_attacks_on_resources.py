"""Using things up: every run ends at its limit, says which one, and harms no other."""

import asyncio
import secrets
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools_api.sandbox.conftest import LIMITS, Attacker
from tools_api.sandbox import Job

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

MIB = 1 << 20
FORK_BOMB = """
count = 0
try:
    while count < 600:
        if os.fork() == 0:
            import signal; signal.pause()
        count += 1
except BlockingIOError:
    pass
said = count
import time; time.sleep({sleep})
"""
TWELVE_TIMES_200_MB = """
import time
for _ in range(12):
    if os.fork() == 0:
        held = bytearray(os.urandom(1) * (200 << 20)); time.sleep(9); os._exit(0)
time.sleep(9)
"""


async def test_a_fork_bomb_stops_at_the_limit_of_processes(attacker: Attacker) -> None:
    assert 30 <= int(await attacker.attempt(FORK_BOMB.format(sleep=0))) <= LIMITS.processes


async def test_a_fork_bomb_does_not_starve_a_run_beside_it(attacker: Attacker) -> None:
    bomb = asyncio.create_task(attacker.attempt(FORK_BOMB.format(sleep=1)))
    await asyncio.sleep(0.5)
    assert int(await attacker.attempt(FORK_BOMB.format(sleep=0))) >= 30
    await bomb


async def test_one_process_cannot_take_ten_gigabytes(attacker: Attacker) -> None:
    assert (await attacker.attempt("bytearray(10 << 30)")).startswith("refused MemoryError")


async def test_memory_that_is_touched_piece_by_piece_meets_the_limit(attacker: Attacker) -> None:
    outcome = await attacker.run("held = []\nwhile True: held.append(bytearray(os.urandom(1) * (16 << 20)))")
    assert outcome.limit == "memory"


async def test_many_processes_meet_the_limit_of_memory_in_sum(attacker: Attacker) -> None:
    outcome = await attacker.run(TWELVE_TIMES_200_MB)
    assert outcome.limit == "memory"
    assert outcome.peak_memory_bytes <= 1.5 * LIMITS.memory_bytes


async def test_the_watchdog_alone_meets_it_too(watched: Attacker) -> None:
    outcome = await watched.run(TWELVE_TIMES_200_MB)
    assert outcome.limit == "memory"
    assert outcome.wall_s < 5


@pytest.mark.parametrize("folder", ["/workspace", "/tmp", "/dev/shm"])
async def test_many_files_fill_the_sandbox_not_the_host(attacker: Attacker, folder: str) -> None:
    before = shutil.disk_usage("/").free
    said = await attacker.attempt(
        f"os.chdir({folder!r})\nfor number in range(2000): open(f'f{{number}}', 'wb').write(bytes(1 << 20))"
    )
    assert said.startswith("refused OSError [Errno 28]")
    assert before - shutil.disk_usage("/").free < 64 * MIB


async def test_one_file_stops_at_its_limit(attacker: Attacker) -> None:
    said = await attacker.attempt("f = open('f', 'wb', 0)\nwhile True: f.write(bytes(1 << 20))")
    assert said.startswith("refused OSError [Errno 27]")


async def test_a_full_workspace_is_reported(attacker: Attacker) -> None:
    outcome = await attacker.run("for number in range(2000): open(f'f{number}', 'wb').write(bytes(1 << 20))")
    assert outcome.limit == "files"


async def test_empty_files_without_number_are_stopped(watched: Attacker) -> None:
    """Each takes a kilobyte of the kernel that no process's memory shows."""
    outcome = await watched.run("number = 0\nwhile True: os.close(os.open(f'/tmp/{number}', 65)); number += 1")
    assert outcome.limit == "files"


async def test_an_endless_loop_ends_at_the_wall_limit(attacker: Attacker) -> None:
    outcome = await attacker.run("while True: pass", limits=replace(LIMITS, wall_s=0.6))
    assert outcome.limit == "timeout"
    assert outcome.wall_s < 1.1 + 0.3  # the machine may be busy


async def test_a_loop_that_stops_its_supervisor_ends_too(attacker: Attacker) -> None:
    code = "import signal\nos.kill(os.getppid(), signal.SIGSTOP)\nwhile True: pass"
    outcome = await attacker.run(code, limits=replace(LIMITS, wall_s=0.6))
    assert outcome.limit == "timeout"
    assert outcome.wall_s < 1.5


async def test_busy_children_meet_the_limit_of_processor_time_in_sum(attacker: Attacker) -> None:
    code = "for _ in range(4):\n    if os.fork() == 0:\n        while True: pass\nimport time; time.sleep(9)"
    outcome = await attacker.run(code, limits=replace(LIMITS, cpu_s=0.5))
    assert outcome.limit == "cpu"
    assert outcome.wall_s < 5


async def test_one_busy_process_meets_the_limit_of_processor_time(watched: Attacker) -> None:
    outcome = await watched.run("while True: pass", limits=replace(LIMITS, cpu_s=0.5))
    assert outcome.limit == "cpu"


async def test_a_daemon_does_not_outlive_its_run(attacker: Attacker) -> None:
    marker = secrets.token_hex(8)
    outcome = await attacker.sandbox.run(
        Job(argv=("/bin/sh", "-c", f"setsid sh -c 'sleep 60; : {marker}' >/dev/null 2>&1 & sleep 0.1; echo started"))
    )
    assert outcome.stdout == b"started\n"
    assert _alive(marker) == []


@pytest.mark.parametrize("descriptor", [1, 2])
async def test_a_flood_of_output_is_cut_and_killed(attacker: Attacker, descriptor: int) -> None:
    outcome = await attacker.run(f"while True: os.write({descriptor}, bytes(65536))")
    assert outcome.limit == "output"
    assert len(outcome.stdout) + len(outcome.stderr) == LIMITS.output_bytes


def _alive(marker: str) -> list[str]:
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found
