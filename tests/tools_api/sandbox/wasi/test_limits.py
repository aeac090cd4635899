"""Every limit ends a run or is an error that the code can read, and what it left is gone with it."""

import asyncio
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools_api.sandbox.wasi.conftest import ARTEFACT, LIMITS, Runner
from tools_api.sandbox import Sandbox, SandboxOptions

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_an_endless_loop_is_stopped_and_its_files_come_back(wasi: Runner) -> None:
    code = "open('a', 'w').write('made')\nwhile True: pass"
    outcome = await wasi.run(code, limits=replace(LIMITS, wall_s=1))
    assert outcome.limit == "timeout"
    assert [file.content for file in outcome.files] == [b"made"]


async def test_a_loop_that_catches_everything_is_stopped_too(wasi: Runner) -> None:
    code = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    assert (await wasi.run(code, limits=replace(LIMITS, wall_s=0.5))).limit == "timeout"


async def test_sleeping_is_stopped(wasi: Runner) -> None:
    outcome = await wasi.run("import time; time.sleep(1000)", limits=replace(LIMITS, wall_s=0.5))
    assert outcome.limit == "timeout"
    assert outcome.cpu_s < 5


async def test_processor_time_is_limited(wasi: Runner) -> None:
    outcome = await wasi.run("while True: pass", limits=replace(LIMITS, cpu_s=0.5))
    assert outcome.limit == "cpu"


async def test_memory_is_limited_and_the_code_can_read_the_error(wasi: Runner) -> None:
    said = await wasi.said(
        "held = bytearray(64 << 20)\ntry: more = bytearray(512 << 20)\nexcept MemoryError: said = 'limited'"
    )
    assert said == "limited"


async def test_memory_that_grows_slowly_is_limited_too(wasi: Runner) -> None:
    outcome = await wasi.run("held = []\nwhile True: held.append(bytearray(1 << 20))")
    assert outcome.report.startswith(b"refused MemoryError"), outcome
    assert outcome.peak_memory_bytes < LIMITS.memory_bytes + (256 << 20)


@pytest.mark.parametrize("stream", [1, 2])
async def test_a_flood_of_output_is_cut(wasi: Runner, stream: int) -> None:
    outcome = await wasi.run(f"while True: os.write({stream}, b'x' * 4096)")
    assert outcome.limit == "output"
    assert len(outcome.stdout) + len(outcome.stderr) == LIMITS.output_bytes


async def test_many_files_are_limited_in_sum(wasi: Runner) -> None:
    code = "n = 0\nwhile True:\n    open(f'f{n}', 'wb').write(bytes(1 << 20))\n    n += 1"
    assert (await wasi.run(code)).limit == "files"


async def test_files_in_the_other_folder_count(wasi: Runner) -> None:
    code = "n = 0\nwhile True:\n    open(f'/tmp/f{n}', 'wb').write(bytes(1 << 20))\n    n += 1"
    assert (await wasi.run(code)).limit == "files"


async def test_empty_files_are_counted(wasi: Runner) -> None:
    code = "n = 0\nwhile True:\n    open(f'f{n}', 'w').close()\n    n += 1"
    assert (await wasi.run(code, limits=replace(LIMITS, inodes=200))).limit == "files"


async def test_one_file_is_limited_and_the_code_can_read_the_error(wasi: Runner) -> None:
    said = await wasi.said("open('big', 'wb').write(bytes(4 << 20))", limits=replace(LIMITS, file_bytes=1 << 20))
    assert said.startswith("refused OSError")


async def test_files_that_are_too_many_to_return_are_left_out(wasi: Runner) -> None:
    outcome = await wasi.run("for n in range(9): open(str(n), 'w').write('x')", limits=replace(LIMITS, max_files=3))
    assert len(outcome.files) == 3
    assert outcome.denied == ("too many files",)


async def test_exit_statuses_and_crashes_are_told_apart(wasi: Runner) -> None:
    assert (await wasi.run("os._exit(7)")).exit_code == 7
    deep = "import sys; sys.setrecursionlimit(10**6)\ndef f(n): return f(n + 1)\nf(0)"
    assert (await wasi.run(deep)).exit_code == -signal.SIGABRT


async def test_a_run_that_is_cancelled_leaves_no_process_and_no_file(wasi: Runner) -> None:
    running = asyncio.create_task(wasi.run("open('a', 'w').write('x')\nwhile True: pass"))
    await _until(lambda: any(_folders_of_runs()))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await _until(lambda: not any(_folders_of_runs()))


async def test_runs_leave_no_descriptor_and_no_folder(wasi: Runner) -> None:
    await wasi.said("said = 1")
    before = _descriptors()
    for _ in range(3):
        assert await asyncio.gather(*(wasi.said(f"said = {number}") for number in range(4))) == list("0123")
    assert _descriptors() <= before
    await _until(lambda: not any(_folders_of_runs()))


async def test_closing_ends_the_server_and_removes_its_folder(artefact: Path) -> None:
    before = set(_servers_folders())
    sandbox = Sandbox(SandboxOptions(levels=("wasi",), limits=LIMITS, wasi_artefact=ARTEFACT))
    await sandbox.start()
    assert sandbox.report.available, sandbox.report
    assert len(set(_servers_folders()) - before) == 1
    await sandbox.aclose()
    assert set(_servers_folders()) <= before


def _descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def _servers_folders() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob("twinport-wasi-*"))


def _folders_of_runs() -> list[Path]:
    return [run for folder in _servers_folders() for run in folder.iterdir()]


async def _until(holds: "object") -> None:
    assert callable(holds)
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
