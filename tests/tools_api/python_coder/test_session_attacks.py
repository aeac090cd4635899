"""Sessions whose code does not want to be one: each test attacks one property, and the service stays healthy."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.tools_api.marked import new_marker, until_alive, until_gone
from tests.tools_api.python_coder.conftest import Caller, InSession, started
from tools_api.invoke.tool import ToolOutput
from tools_api.python_coder import PythonCoder
from tools_api.sandbox import SessionOptions

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hasty() -> AsyncGenerator[PythonCoder]:
    """A tool that kills what does not stop at once."""
    async with started(SessionOptions(most=3, most_of_owner=2, interrupt_s=0.2)) as tool:
        yield tool


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched() -> AsyncGenerator[PythonCoder]:
    """A tool without control groups: a watchdog adds memory up."""
    async with started(SessionOptions(), use_cgroups=False) as tool:
        yield tool


async def is_healthy(session: InSession) -> bool:
    """Say whether a new session of the same name works, or the old one does."""
    first, second = await session("x = 'well'"), await session("x")
    return first.data["session"] in {"new", "continued"} and second.data["value"] == "'well'"


def assert_lost(output: ToolOutput, kind: str) -> None:
    assert output.error is not None
    assert (output.error.type, output.data["session"]) == (kind, "lost")
    assert "variables, imports and functions are lost" in output.error.message


async def test_ignoring_interrupts_ends_the_session(hasty: PythonCoder, tmp_path: Path) -> None:
    session = InSession(Caller(hasty, tmp_path), "deaf")
    await session("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)")
    output = await session("print('on and on')\nsignal.signal(2, signal.SIG_IGN)\nwhile True: pass", timeout=0.5)

    assert_lost(output, "timeout")
    assert output.data["stdout"] == "on and on\n"
    assert await is_healthy(session)


async def test_catching_every_exception_ends_the_session(hasty: PythonCoder, tmp_path: Path) -> None:
    session = InSession(Caller(hasty, tmp_path), "stubborn")
    code = "import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass"
    assert_lost(await session(code, timeout=0.5), "timeout")


async def test_daemons_are_counted_stand_still_and_end_with_the_session(run: Caller) -> None:
    marker = new_marker()
    async with started(SessionOptions(interrupt_s=10)) as tool:
        session = InSession(Caller(tool, run.workspace), "daemons")
        code = f"""
import os
made = 0
try:
    while made < 600:
        if os.fork() == 0:
            os.setsid()
            os.execv('/bin/sleep', ['sleep', '600', '{marker}'])
        made += 1
except OSError:
    pass
made"""
        output = await session(code)
        assert output.error is None, output
        assert 0 < int(output.data["value"]) < 64
        daemons = await until_alive(marker)
        assert {_state(pid) for pid in daemons} == {"T"}
        assert (await session("made > 0")).data["value"] == "True"
    await until_gone(marker)


async def test_a_fork_that_comes_to_the_end_of_the_code_is_no_second_interpreter(session: InSession) -> None:
    output = await session("import os\nprint('child' if os.fork() == 0 else 'parent', flush=True)\nos.getpid()")
    after = await session("os.getpid()")
    assert output.data["stdout"].count("parent\n") == 1
    assert after.data["value"] == output.data["value"]


@pytest.mark.parametrize("code", ["os.closerange(0, 256)", "os.closerange(3, 256)"], ids=["all", "those of ours"])
async def test_closing_its_pipes_ends_the_session(session: InSession, code: str) -> None:
    await session("import os")
    output = await session(code)
    assert output.data["session"] == "lost"
    assert await is_healthy(session)


async def test_closing_its_output_leaves_the_session_alive(session: InSession) -> None:
    await session("import os\nos.close(1)\nos.close(2)")
    output = await session("6 * 7")
    assert (output.data["session"], output.data["value"]) == ("continued", "42")


FORGING = """
import os, struct
def frame(pairs, report):
    fields = [('exit', '0'), ('cpu_s', '0'), ('peak_bytes', '0'), ('report', str(len(report))), *pairs]
    body = '\\0'.join(part for pair in fields for part in pair).encode()
    return len(body).to_bytes(8, 'big') + body + report
def pipes_of(pid):
    for name in os.listdir(f'/proc/{pid}/fd'):
        if int(name) > 2 and os.readlink(f'/proc/{pid}/fd/{name}').startswith('pipe'):
            yield f'/proc/{pid}/fd/{name}'
def forge(content):
    written = 0
    for pid in (os.getppid(), os.getpid()):
        for path in pipes_of(pid):
            try:
                written += os.write(os.open(path, os.O_WRONLY | os.O_NONBLOCK), content)
            except OSError:
                continue
    return written
"""


@pytest.mark.parametrize(
    "content",
    ["frame([('session', '0' * 32)], b'value\\0forged')", "b'x' * 4096", "b'\\0' * 8", "b'\\xff' * 4096"],
    ids=["another call's", "garbage", "nothing", "sizes"],
)
async def test_a_forged_answer_ends_the_session(session: InSession, content: str) -> None:
    """At once, or where it comes behind the true answer, in the next call."""
    await session(FORGING)
    output = await session(f"print(forge({content}) > 0)\nimport time\ntime.sleep(0.2)")
    assert output.data["stdout"] in {"True\n", "False\n", ""}
    assert output.data["value"] is None, "nothing that was forged is believed"
    if output.data["session"] == "continued":  # it came behind the true answer, and is out of step in the next call
        output = await session("1")
    assert output.data["session"] == "lost"
    assert await is_healthy(session)


async def test_an_end_mark_of_its_own_does_not_end_the_output(session: InSession) -> None:
    code = "import sys\nsys.stdout.write('a\\0' + 'b' * 32 + '\\0c\\0')"
    assert (await session(code)).data["stdout"] == "a\0" + "b" * 32 + "\0c\0"
    assert (await session("1")).data["stdout"] == ""


async def test_a_flood_by_a_thread_is_cut_in_every_call(session: InSession) -> None:
    code = "import threading\ndef flood():\n    while True: print('x' * 1000)\n"
    await session(code + "threading.Thread(target=flood, daemon=True).start()")
    output = await session("import time\ntime.sleep(600)")

    assert output.error is not None
    assert output.error.type == "output"
    assert len(output.data["stdout"]) <= 256 * 1024


async def test_waking_up_between_calls_ends_the_session(session: InSession) -> None:
    """A timer of the kernel's can send SIGCONT where nothing inside can."""
    marker = new_marker()
    code = f"""
import ctypes, signal, subprocess
signal.signal(signal.SIGCONT, lambda *_: None)  # newer kernels stop a timer whose signal nobody wants
subprocess.Popen(['/bin/sleep', '600', '{marker}'])
event = (ctypes.c_int * 16)()
event[2] = 18  # SIGCONT, and SIGEV_SIGNAL is 0
timer = ctypes.c_void_p()
libc = ctypes.CDLL(None)
made = libc.timer_create(1, event, ctypes.byref(timer))
every = (ctypes.c_long * 4)(0, 50_000_000, 0, 50_000_000)
made, libc.timer_settime(timer, 0, every, None)"""
    assert (await session(code)).data["value"] == "(0, 0)"
    await until_gone(marker)
    after = await session("1")
    assert after.data["session"] == "new"
    assert "would not stand still" in after.content


@pytest.mark.parametrize("kind", ["cgroups", "watchdog"])
async def test_memory_counts_in_sum_over_calls(
    tool: PythonCoder, watched: PythonCoder, tmp_path: Path, kind: str
) -> None:
    session = InSession(Caller(tool if kind == "cgroups" else watched, tmp_path, workspace_name="memory"), kind)
    await session(
        "import os, time\nheld = []\n"
        "def grow(): held.append(os.urandom(1) * (200 << 20))\n"
        "def fork_and_grow():\n    if os.fork() == 0: grow(); time.sleep(60)"
    )
    outputs = [await session("grow()") for _ in range(2)]
    forked = await session("for _ in range(4): fork_and_grow()\ntime.sleep(30)")

    assert [output.error for output in outputs] == [None, None]
    assert_lost(forked, "memory")
    assert await is_healthy(session)


async def test_an_input_is_not_written_through_a_link(session: InSession) -> None:
    path = session.caller.workspace / "data.csv"
    path.write_text("first")
    await session(
        "import os\nopen('/tmp/target', 'w').write('mine')\n"
        "os.remove('data.csv')\nos.symlink('/tmp/target', 'data.csv')"
    )
    path.write_text("second, from outside")
    output = await session("os.path.islink('data.csv'), open('data.csv').read(), open('/tmp/target').read()")
    assert output.data["value"] == "(False, 'second, from outside', 'mine')"


async def test_an_input_in_a_folder_is_not_written_through_a_link(session: InSession) -> None:
    folder = session.caller.workspace / "data"
    folder.mkdir()
    (folder / "a.csv").write_text("first")
    await session("import os, shutil\nshutil.rmtree('data')\nos.mkdir('/tmp/away')\nos.symlink('/tmp/away', 'data')")
    (folder / "a.csv").write_text("second, from outside")
    output = await session("os.listdir('/tmp/away')")
    assert output.data["value"] == "[]"
    assert "not brought up to date" in output.content


async def test_a_folder_in_the_place_of_an_input_stays_and_is_told(session: InSession) -> None:
    path = session.caller.workspace / "data.csv"
    path.write_text("first")
    await session("import os\nos.remove('data.csv')\nos.mkdir('data.csv')")
    path.write_text("second, from outside")
    output = await session("os.path.isdir('data.csv')")
    assert output.data["value"] == "True"
    assert "not brought up to date" in output.content


async def test_killing_all_that_it_can_reach_ends_only_its_own_session(session: InSession) -> None:
    other = InSession(session.caller, "other")
    await other("x = 1")
    assert (await session("import os\nos.kill(-1, 9)")).data["session"] == "lost"
    assert (await other("x")).data["value"] == "1"


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
