"""What one warm run does, no other one sees, whether it comes later or runs beside it."""

import ast
import asyncio
import secrets

import pytest

from tests.tools_api.sandbox.conftest import Attacker
from tests.tools_api.sandbox.warm.conftest import warm_report

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]


async def _beside(warm: Attacker, first: str, second: str) -> str:
    """Run `second` while `first` has done its part and sleeps; both on the warm path. Return what `second` says."""
    before = warm_report(warm).runs
    go = f"{secrets.token_hex(8)}"
    printed = asyncio.Event()
    running = asyncio.create_task(
        warm.sandbox.run(
            warm.job(f"{first}\nimport time\nos.write(1, b'{go}')\ntime.sleep(60)"),
            on_output=lambda _stream, _piece: printed.set(),
        )
    )
    try:
        waiting = asyncio.create_task(printed.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        assert printed.is_set(), await running
        said = await warm.attempt(second)
        assert not running.done(), await running
        assert warm_report(warm).runs == before + 2
        return said
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_run_is_a_child_of_the_first_process_of_its_own_namespace(warm: Attacker) -> None:
    before = warm_report(warm).runs
    said = await warm.attempt(
        "said = [os.getppid(), sorted(int(name) for name in os.listdir('/proc') if name.isdigit())]"
    )
    assert ast.literal_eval(said) == [1, [1, 2]]
    assert warm_report(warm).runs == before + 1


@pytest.mark.parametrize("folder", ["/workspace", "/tmp", "/dev/shm"])
async def test_files_of_a_run_are_not_there_for_a_later_one(warm: Attacker, folder: str) -> None:
    assert (
        await warm.attempt(f"open('{folder}/left', 'w').write('secret'); said = os.listdir('{folder}')") == "['left']"
    )
    assert await warm.attempt(f"said = os.listdir('{folder}')") == "[]"


@pytest.mark.parametrize("folder", ["/workspace", "/tmp", "/dev/shm"])
async def test_files_of_a_run_are_not_there_for_one_beside_it(warm: Attacker, folder: str) -> None:
    assert await _beside(warm, f"open('{folder}/left', 'w').write('secret')", f"said = os.listdir('{folder}')") == "[]"


async def test_processes_of_a_run_are_not_seen_beside_it(warm: Attacker) -> None:
    code = "said = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())"
    assert (
        await _beside(warm, "[os.fork() or os.execv('/bin/sleep', ['sleep', '60']) for _ in '123']", code) == "[1, 2]"
    )


async def test_process_group_and_session_are_a_runs_own(warm: Attacker) -> None:
    assert await warm.attempt("said = os.getpgid(1), os.getsid(1)") == "(1, 1)"


async def test_an_abstract_socket_of_a_run_is_not_there_beside_it(warm: Attacker) -> None:
    name = f"\\x00{secrets.token_hex(8)}"  # `\\0` would take octal digits that follow along
    listen = f"import socket\nheld = socket.socket(socket.AF_UNIX)\nheld.bind('{name}')\nheld.listen()"
    connect = f"import socket\nsocket.socket(socket.AF_UNIX).connect('{name}')"
    assert (await _beside(warm, listen, connect)).startswith("refused ConnectionRefusedError")
    assert await warm.attempt(f"{listen}\n{connect}") == "done"


async def test_a_terminal_of_a_run_can_not_be_opened_beside_it(warm: Attacker) -> None:
    openpt = "held = os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY)"
    assert await warm.attempt(f"{openpt}; said = sorted(os.listdir('/dev/pts'))") == "['0', 'ptmx']"
    assert await _beside(warm, openpt, "said = os.listdir('/dev/pts')") == "['ptmx']"


async def test_what_a_run_does_to_the_interpreter_is_gone_with_it(warm: Attacker) -> None:
    mark = "import sys, builtins; sys.marked = builtins.marked = os.marked = 1; os.environ['MARKED'] = '1'"
    assert await warm.attempt(mark) == "done"
    look = "import sys, builtins; said = [hasattr(o, 'marked') for o in (sys, builtins, os)], 'MARKED' in os.environ"
    assert await warm.attempt(look) == "([False, False, False], False)"


async def test_no_descriptor_but_the_three_and_the_report(warm: Attacker) -> None:
    code = """
import stat
said = []
for number in range(1000):
    try:
        mode = os.fstat(number).st_mode
    except OSError:
        continue
    said.append((number, "pipe" if stat.S_ISFIFO(mode) else "/dev/null" if stat.S_ISCHR(mode) else oct(mode)))
"""
    said = ast.literal_eval(await warm.attempt(code))
    assert [kind for _, kind in said] == ["/dev/null", "pipe", "pipe", "pipe"], said


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/proc/sys/user/max_user_namespaces', 'w').write('9')",
        "open('/proc/sys/kernel/core_pattern', 'w').write('x')",
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True); "
        "assert libc.unshare(0x10000000) == 0, os.strerror(ctypes.get_errno())",
        "open('/new', 'w')",
        "open('/dev/new', 'w')",
        "open('/opt/sandbox/new', 'w')",
        "import socket; socket.socket(socket.AF_INET)",
    ],
)
async def test_a_warm_run_is_refused(warm: Attacker, attempt: str) -> None:
    before = warm_report(warm).runs
    assert (await warm.attempt(attempt)).startswith("refused ")
    assert warm_report(warm).runs == before + 1
