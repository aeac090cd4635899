"""What uses things up: every run ends at its limit, says which one, and harms no other and not the host."""

import asyncio

import pytest

from tests.tools_api.battery.planted import MakeFolder
from tests.tools_api.battery.server import (
    LONGEST_S,
    MARKS,
    MEMORY_BYTES,
    OTHER_KEY,
    WORKSPACE_BYTES,
    Server,
    running,
)

pytestmark = MARKS

MIB = 1 << 20
FORK_BOMB = """
import os, signal
count = 0
try:
    while count < 600:
        if os.fork() == 0:
            signal.pause()
        count += 1
except BlockingIOError:
    pass
"""
TWELVE_TIMES_100_MB = """
import os, time
for _ in range(12):
    if os.fork() == 0:
        held = []
        for _ in range(100):
            held.append(bytearray(b'x') * (1 << 20))
            time.sleep(0.03)
        time.sleep(60)
time.sleep(60)
"""
TEN_GIGABYTES_IN_ONE_FILE = """
import os
os.chdir({folder!r})
file = open('file', 'wb', 0)
for _ in range(10 * 1024):
    file.write(bytes(1 << 20))
"""
TWO_THOUSAND_MEGABYTES_IN_FILES = """
import os
os.chdir({folder!r})
for number in range(2000):
    open(f'file{{number}}', 'wb').write(bytes(1 << 20))
"""
EMPTY_FILES = """
import os
number = 0
while True:
    os.close(os.open(f'/tmp/{number}', os.O_CREAT))
    number += 1
"""
FOUR_BUSY_CHILDREN = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        while True:
            pass
time.sleep(60)
"""


async def test_a_fork_bomb_stops_at_the_limit_of_processes(server: Server) -> None:
    assert 30 <= int(await server.said(f"{FORK_BOMB}\nprint(count)")) <= 64


async def test_a_fork_bomb_does_not_starve_a_run_beside_it(server: Server) -> None:
    async with server.held(FORK_BOMB, key=OTHER_KEY):
        assert 30 <= int(await server.said(f"{FORK_BOMB}\nprint(count)")) <= 64


async def test_ten_gigabytes_at_once_are_refused(server: Server) -> None:
    attempt = await server.run("print('trying')\nbytearray(10 << 30)")
    assert (attempt.stdout, attempt.error, attempt.exception) == ("trying", "memory", "MemoryError")
    assert attempt.receipt["peak_memory_bytes"] <= MEMORY_BYTES


async def test_memory_that_is_touched_piece_by_piece_meets_the_limit(server: Server) -> None:
    attempt = await server.run(
        "import time\nheld = []\nwhile True:\n    held.append(bytearray(b'x') * (8 << 20)); time.sleep(0.01)"
    )
    assert attempt.error == "memory"
    assert 0.9 * MEMORY_BYTES <= attempt.receipt["peak_memory_bytes"] <= 1.5 * MEMORY_BYTES


async def test_twelve_processes_meet_the_limit_of_memory_in_sum(server: Server) -> None:
    """Each of them stays below it."""
    attempt = await server.run(TWELVE_TIMES_100_MB)
    assert attempt.error == "memory"
    assert 0.9 * MEMORY_BYTES <= attempt.receipt["peak_memory_bytes"] <= 1.5 * MEMORY_BYTES


@pytest.mark.parametrize("folder", ["/workspace", "/tmp", "/dev/shm"])
@pytest.mark.parametrize(
    "attack", [TEN_GIGABYTES_IN_ONE_FILE, TWO_THOUSAND_MEGABYTES_IN_FILES], ids=["one-file", "many-files"]
)
async def test_files_fill_the_sandbox_and_not_the_host(server: Server, attack: str, folder: str) -> None:
    before = server.bytes_on_disk()
    attempt = await server.run(attack.format(folder=folder))
    assert attempt.error == "files"
    assert attempt.exception.startswith(("OSError: [Errno 28]", "OSError: [Errno 27]")), attempt.exception
    assert server.bytes_on_disk() - before <= WORKSPACE_BYTES + MIB


async def test_empty_files_without_number_are_stopped(server: Server) -> None:
    """Each takes a kilobyte of the kernel that no process's memory shows; control groups count it as memory."""
    attempt = await server.run(EMPTY_FILES)
    assert attempt.error in {"files", "memory", "timeout"}
    assert attempt.receipt["peak_memory_bytes"] <= 1.5 * MEMORY_BYTES


async def test_an_endless_loop_ends_at_the_time_it_was_given(server: Server) -> None:
    attempt = await server.run("print('began')\nwhile True: pass", timeout=0.6)
    assert (attempt.stdout, attempt.error) == ("began", "timeout")
    assert 0.6 <= attempt.receipt["wall_s"] < LONGEST_S / 2


async def test_a_loop_that_stops_its_supervisor_ends_too(server: Server) -> None:
    attack = "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\nprint('stopped', flush=True)\nwhile True: pass"
    attempt = await server.run(attack, timeout=0.6)
    assert (attempt.stdout, attempt.error) == ("stopped", "timeout")


async def test_busy_children_meet_the_limit_of_processor_time_in_sum(server: Server, open_folder: MakeFolder) -> None:
    """On a machine that gives them no two processors the time is over first."""
    seconds = 3
    async with running(server.account, open_folder(), DEFAULT_TOOL_TIMEOUT=str(seconds)) as strict:
        attempt = await strict.run(FOUR_BUSY_CHILDREN, timeout=seconds)
    assert attempt.error in {"cpu", "timeout"}
    assert 0 < attempt.receipt["cpu_s"] <= 1.5 * seconds


@pytest.mark.parametrize("descriptor", [1, 2])
async def test_a_flood_of_output_is_cut_and_ended(server: Server, descriptor: int) -> None:
    attack = f"import os\nwhile True: os.write({descriptor}, b'x' * 65536)"
    await server.run(attack)  # what the first one makes the service keep is not what it holds for this one
    before = server.process.memory_info().rss
    attempt = await server.run(attack)
    assert attempt.error == "output"
    assert attempt.body_bytes <= MIB
    assert server.process.memory_info().rss - before < 20 * MIB


async def test_a_flood_of_what_json_has_to_escape_is_cut_too(server: Server) -> None:
    attempt = await server.run("import os\nwhile True: os.write(1, bytes(65536))")
    assert attempt.error == "output"
    assert attempt.body_bytes <= MIB


async def test_thirty_two_runs_at_once_all_get_their_own_answer(server: Server) -> None:
    said = await asyncio.gather(*(server.said(f"print({number})") for number in range(32)))
    assert said == [str(number) for number in range(32)]
