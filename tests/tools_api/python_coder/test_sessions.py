"""Sessions as a model meets them: what lives on from call to call, what is said of it, and whose it is."""

import asyncio
import secrets
from dataclasses import replace

import pytest

from tests.tools_api.python_coder.conftest import Caller, InSession

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]


async def test_variables_imports_and_functions_live_on(session: InSession) -> None:
    first = await session("import math\nx = 20\ndef double(n):\n    return 2 * n")
    second = await session("x += 1\ndouble(x) + math.floor(0.5)")

    assert (first.data["session"], second.data["session"]) == ("new", "continued")
    assert second.data["value"] == "42"


async def test_each_call_reports_its_own_output_and_value(session: InSession) -> None:
    await session("import sys\nprint('one')\nprint('error', file=sys.stderr)\n1")
    second = await session("print('two')")

    assert second.content == "two"
    assert (second.data["stdout"], second.data["stderr"], second.data["value"]) == ("two\n", "", None)


async def test_without_a_session_a_run_is_fresh_and_says_nothing_of_sessions(run: Caller) -> None:
    await run("x = 1")
    output = await run("'x' in globals()")

    assert output.data["session"] is None
    assert output.content == "False"


async def test_a_new_session_is_announced_once(session: InSession) -> None:
    assert "The session 'notes' is new" in (await session("1")).content
    assert (await session("1")).content == "1"


async def test_an_exception_leaves_the_session_alive(session: InSession) -> None:
    await session("x = 7")
    failed = await session("x = 8\n1 / 0")
    after = await session("x")

    assert failed.error is not None
    assert failed.error.message.startswith("ZeroDivisionError")
    assert "lives on" in failed.content
    assert (failed.data["session"], after.data["value"]) == ("continued", "8")


async def test_a_later_call_is_told_that_the_first_one_set_the_memory(session: InSession) -> None:
    await session("x = 1", limits={"memory_mb": 256})
    lower = await session("x", limits={"memory_mb": 64})
    more = await session("b'1' * (400 << 20)")

    assert "those of its first call" in lower.content
    assert more.error is not None
    assert "more than 256 MB" in more.error.message
    assert "those of its first call" in more.content


async def test_a_traceback_shows_the_lines_of_earlier_calls(session: InSession) -> None:
    await session("def half(n):\n    return n / 0  # oops")
    failed = await session("half(3)")

    assert 'File "<call 1>", line 2, in half\n    return n / 0  # oops' in failed.data["traceback"]
    assert 'File "<call 2>", line 1, in <module>\n    half(3)' in failed.data["traceback"]


@pytest.mark.parametrize("code", ["exit()", "import sys\nsys.exit(3)"])
async def test_leaving_is_no_end_of_the_session(session: InSession, code: str) -> None:
    await session("x = 1")
    await session(code)
    assert (await session("x")).data["value"] == "1"


async def test_a_crash_loses_the_session_and_says_so_twice(session: InSession) -> None:
    await session("x = 1")
    crashed = await session("import os\nos.kill(os.getpid(), 11)")
    after = await session("x")

    assert crashed.error is not None
    assert "SIGSEGV" in crashed.error.message
    assert "variables, imports and functions are lost" in crashed.error.message
    assert crashed.data["session"] == "lost"
    assert after.data["session"] == "new"
    assert "the variables of an earlier one are lost: it ended in its last call" in after.content


async def test_code_that_runs_too_long_is_interrupted_and_the_session_stays(session: InSession) -> None:
    await session("x = 0")
    late = await session("while True: x += 1", timeout=0.5)
    after = await session("x > 0")

    assert late.error is not None
    assert late.error.type == "timeout"
    assert "lives on" in late.error.message
    assert "KeyboardInterrupt" in late.data["traceback"]
    assert (late.data["session"], after.data["value"]) == ("continued", "True")


async def test_code_that_prints_too_much_is_interrupted_and_the_session_stays(session: InSession) -> None:
    await session("x = 5")
    loud = await session("while True: print('x' * 1000)")
    after = await session("print(x)")

    assert loud.error is not None
    assert loud.error.type == "output"
    assert len(loud.data["stdout"]) == 256 * 1024
    assert after.data["stdout"] == "5\n"


async def test_a_waiting_child_process_ends_with_the_interrupt(session: InSession) -> None:
    late = await session("import subprocess\nsubprocess.run(['sleep', '600'])", timeout=0.5)
    assert late.error is not None
    assert late.error.type == "timeout"
    assert late.data["session"] == "new", "it lives on"


async def test_between_calls_everything_stands_still(session: InSession) -> None:
    await session(
        "import threading, time\nticks = []\n"
        "def tick():\n    while True: ticks.append(time.monotonic()); time.sleep(0.001)\n"
        "threading.Thread(target=tick, daemon=True).start()"
    )
    await asyncio.sleep(1)
    output = await session("max(after - before for before, after in zip(ticks, ticks[1:] + [time.monotonic()]))")
    assert float(output.data["value"]) > 0.9


async def test_what_a_thread_prints_after_a_call_belongs_to_the_next(session: InSession) -> None:
    await session(
        "import threading, time\ngo = threading.Event()\n"
        "threading.Thread(target=lambda: (go.wait(), print('from a thread')), daemon=True).start()"
    )
    set_free = await session("threading.Timer(0.3, go.set).start()")
    after = await session("while threading.active_count() > 1: time.sleep(0.01)")
    assert set_free.data["stdout"] + after.data["stdout"] == "from a thread\n"


async def test_files_of_the_call_come_back_and_stay_in_the_folder(session: InSession) -> None:
    first = await session("open('a.txt', 'w').write('one')")
    second = await session("open('b.txt', 'w').write(open('a.txt').read())")
    third = await session("open('a.txt', 'a').write(' more')")

    assert [[file.name for file in output.files] for output in (first, second, third)] == [
        ["a.txt"],
        ["b.txt"],
        ["a.txt"],
    ]
    assert third.files[0].content == b"one more"


async def test_a_file_that_changed_in_the_workspace_is_written_again(session: InSession) -> None:
    path = session.caller.workspace / "data.csv"
    path.write_text("first")
    assert (await session("open('data.csv').read()")).data["value"] == "'first'"
    path.write_text("second, and longer")
    after = await session("open('data.csv').read()")

    assert after.data["value"] == "'second, and longer'"
    assert after.files == ()


async def test_a_file_that_did_not_change_outside_keeps_what_the_code_made_of_it(session: InSession) -> None:
    path = session.caller.workspace / "data.csv"
    path.write_text("outside")
    await session("open('data.csv', 'w').write('inside')")
    assert path.read_text() == "inside"
    assert (await session("open('data.csv').read()")).data["value"] == "'inside'"


async def test_other_services_and_other_workspaces_have_sessions_of_their_own(session: InSession) -> None:
    """Who guesses the name gets a fresh one: not the variables, not the files."""
    await session("secret = 41\nopen('secret.txt', 'w').write('41')")
    look = "import os\n('secret' in globals(), os.path.exists('secret.txt'))"
    strangers = [
        replace(session.caller, caller="stranger"),
        replace(session.caller, workspace_name="elsewhere"),
    ]
    for stranger in strangers:
        elsewhere = session.caller.workspace / secrets.token_hex(4)
        elsewhere.mkdir()
        output = await InSession(replace(stranger, workspace=elsewhere), session.name)(look)
        assert (output.data["session"], output.data["value"]) == ("new", "(False, False)")
    assert (await session("secret")).data["value"] == "41"


async def test_calls_at_the_same_time_wait_for_each_other(session: InSession) -> None:
    await session("import time\nlog = []")
    code = "log.append('in')\ntime.sleep(0.2)\nlog.append('out')"
    outputs = await asyncio.gather(*(session(code) for _ in range(3)))

    assert [output.data["session"] for output in outputs] == ["continued"] * 3
    assert (await session("''.join(log)")).data["value"] == "'inoutinoutinout'"


async def test_the_receipt_is_of_the_call(session: InSession) -> None:
    busy = await session("import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass")
    idle = await session("pass")

    assert busy.receipt.cpu_s > 0.4
    assert idle.receipt.cpu_s < 0.4
