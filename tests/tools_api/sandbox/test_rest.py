"""Processes are made to stand still, all of them, and go on where they were."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.tools_api.marked import PATIENCE_S
from tools_api.sandbox.process_tree import descendants
from tools_api.sandbox.rest import bring_to_rest, is_at_rest, wake

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

BUSY = "while True: pass"
# its first thread ends, another one goes on
WITHOUT_A_MAIN_THREAD = """
import ctypes, os, threading
def spin():
    while True: pass
threading.Thread(target=spin).start()
os.write(1, b'ready\\n')
ctypes.CDLL(None).pthread_exit(None)
"""
FORKING = """
import os, signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.write(1, b'ready\\n')
while True:
    if os.fork() == 0: os._exit(0)
"""
SPAWNING = """
import os, subprocess
os.write(1, b'ready\\n')
while True: subprocess.run(['/bin/true'])
"""
FAMILY = """
import os
family = os.getpid()
for _ in range(5):
    if os.fork() == 0: break
if os.getpid() == family: os.write(1, b'ready\\n')
while True: pass
"""


@pytest.fixture(params=[FAMILY, FORKING, SPAWNING, WITHOUT_A_MAIN_THREAD])
def busy(request: pytest.FixtureRequest) -> Generator[int]:
    process = subprocess.Popen([sys.executable, "-c", request.param], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


async def test_nothing_of_a_busy_family_moves_after_it_was_brought_to_rest(busy: int) -> None:
    await _until_it_moves(busy)
    assert await bring_to_rest(busy, within_s=PATIENCE_S)
    before = _used(busy)
    await asyncio.sleep(0.1)
    assert is_at_rest(busy)
    assert _used(busy) == before


async def test_it_goes_on_when_it_is_woken(busy: int) -> None:
    assert await bring_to_rest(busy, within_s=PATIENCE_S)
    before = _used(busy)
    wake(busy)
    deadline = time.monotonic() + PATIENCE_S
    while _used(busy) == before:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_what_has_ended_stands_still() -> None:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    assert is_at_rest(process.pid)
    assert await bring_to_rest(process.pid, within_s=PATIENCE_S)


async def test_who_may_not_be_stopped_in_time_is_reported() -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        assert not await bring_to_rest(process.pid, within_s=-1)
    finally:
        process.kill()
        process.wait()


async def _until_it_moves(pid: int) -> None:
    """Wait until a look finds it moving, which one between the end of a child and its parent's waking up does not."""
    deadline = time.monotonic() + PATIENCE_S
    while is_at_rest(pid):
        assert time.monotonic() < deadline, "it never moved"
        await asyncio.sleep(0.001)


def _used(pid: int) -> dict[int, list[str]]:
    """Return the processor time of every thread, by process."""
    used: dict[int, list[str]] = {}
    for member in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            threads = sorted(Path(f"/proc/{member}/task").iterdir())
            used[member] = [(thread / "schedstat").read_text().split()[0] for thread in threads]
    return used
