"""When sessions begin and end, how many there are, who waits, and what callers that leave find when they come back."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from tests.tools_api.conftest import OTHER_KEY, Serve
from tests.tools_api.marked import new_marker, until_alive, until_gone
from tests.tools_api.python_coder.conftest import PATIENT_S, Caller, InSession, started
from tests.tools_api.sandbox.conftest import need_bubblewrap
from tools_api.invoke.tool import ToolCall
from tools_api.python_coder import PythonCoder
from tools_api.sandbox import SandboxBusy, SessionOptions

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

REPOSITORY = Path(__file__).parents[3]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small() -> AsyncGenerator[PythonCoder]:
    """A tool with room for two sessions of each owner, three in all, and one slot to run in."""
    options = SessionOptions(most=3, most_of_owner=2, interrupt_s=PATIENT_S)
    async with started(options, concurrency=1) as tool:
        yield tool


def owned(tool: PythonCoder, tmp_path: Path, owner: str, name: str) -> InSession:
    return InSession(Caller(tool, tmp_path, workspace_name=owner), name)


async def test_idle_sessions_hold_no_slot(small: PythonCoder, tmp_path: Path) -> None:
    for name in "ab":
        await owned(small, tmp_path, "slots", name)("1")
    assert (await Caller(small, tmp_path)("6 * 7", timeout_s=120)).data["value"] == "42"


async def test_the_least_used_session_of_an_owner_makes_room(small: PythonCoder, tmp_path: Path) -> None:
    first, second, third = (owned(small, tmp_path, secrets.token_hex(4), "one") for _ in range(3))
    second = replace(second, caller=first.caller, name="two")
    third = replace(third, caller=first.caller, name="three")
    await first("x = 1")
    await second("x = 2")
    await first("x")
    await third("x = 3")

    assert (await first("x")).data["value"] == "1"
    gone = await second("'x' in globals()")
    assert (gone.data["session"], gone.data["value"]) == ("new", "False")
    assert "it was dropped to make room for another one" in gone.content


@pytest.mark.long
async def test_any_number_of_sessions_in_a_row_is_never_more_than_there_is_room_for(
    small: PythonCoder, tmp_path: Path
) -> None:
    before = _children()
    for number in range(100):
        session = owned(small, tmp_path, f"owner-{number % 5}", f"session-{number}")
        assert (await session(str(number))).data["value"] == str(number)
        assert _children() <= before + 3


async def test_where_all_are_busy_a_new_session_waits_and_is_told_in_time(small: PythonCoder, tmp_path: Path) -> None:
    owner = secrets.token_hex(4)
    sessions = [owned(small, tmp_path, owner, name) for name in "ab"]
    marker = new_marker()
    code = f"import subprocess\nsubprocess.run(['/bin/sleep', '600', '{marker}'])"
    calls = [asyncio.create_task(session(code)) for session in sessions]
    await until_alive(marker)
    with pytest.raises(SandboxBusy):
        await owned(small, tmp_path, owner, "c")("1", timeout_s=1.5)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert (await owned(small, tmp_path, owner, "c")("1")).data["session"] == "new"


async def test_an_idle_session_is_dropped_after_its_time(tmp_path: Path) -> None:
    async with started(SessionOptions(idle_s=0.2)) as tool:
        session = owned(tool, tmp_path, "idle", "short")
        marker = new_marker()
        await session(f"import subprocess\nsubprocess.Popen(['/bin/sleep', '600', '{marker}'])")
        await until_gone(marker)
        output = await session("1")
    assert output.data["session"] == "new"
    assert "dropped after a while without a call" in output.content


async def test_a_caller_that_leaves_interrupts_the_code_and_finds_the_session_again(session: InSession) -> None:
    marker = new_marker()
    await session("import subprocess\nx = 1\nstopped = ''")
    code = f"""
try:
    subprocess.run(['/bin/sleep', '600', '{marker}'])
except KeyboardInterrupt:
    stopped = 'in the middle'
    raise"""
    call = asyncio.create_task(session(code))
    await until_alive(marker)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until_gone(marker)
    after = await session("x, stopped")

    assert (after.data["session"], after.data["value"]) == ("continued", "(1, 'in the middle')")
    assert after.data["stdout"] == after.data["stderr"] == ""


async def test_a_caller_that_leaves_code_that_does_not_stop_ends_the_session(tmp_path: Path) -> None:
    async with started(SessionOptions(interrupt_s=0.2)) as tool:
        session = owned(tool, tmp_path, "leaving", "deaf")
        marker = new_marker()
        code = "import signal, subprocess\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        call = asyncio.create_task(session(code + f"subprocess.run(['/bin/sleep', '600', '{marker}'])"))
        await until_alive(marker)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until_gone(marker)
        assert (await session("1")).data["session"] == "new"


@pytest.mark.parametrize("pause_s", [0, 0.01, 0.05, 0.2])
async def test_leaving_at_any_moment_leaves_the_session_usable(session: InSession, pause_s: float) -> None:
    for _ in range(2):
        call = asyncio.create_task(session("import time\ntime.sleep(600)"))
        await asyncio.sleep(pause_s)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert (await session("6 * 7")).data["value"] == "42"


async def test_each_call_is_read_along(session: InSession) -> None:
    heard: list[tuple[str, bytes]] = []
    for text in ("one", "two"):
        call = ToolCall(
            arguments={"code": f"import sys\nprint('{text}')\nprint('!', file=sys.stderr)", "session": "aloud"},
            workspace=session.caller.workspace,
            timeout_s=120,
            caller="test",
            on_output=lambda stream, content: heard.append((stream, content)),
        )
        await session.caller.tool.run(call)
    assert [content for stream, content in heard if stream == "stdout"] == [b"one\n", b"two\n"]
    assert [content for stream, content in heard if stream == "stderr"] == [b"!\n", b"!\n"]


async def test_through_the_server_a_session_goes_on_for_its_own_service_and_workspace_alone(
    serve: Serve, tool: PythonCoder
) -> None:
    def call(code: str, workspace: str) -> dict[str, object]:
        return {"arguments": {"code": code, "session": "s"}, "workspace": workspace, "deadline_ms": 120_000}

    async with serve(tool) as served:
        _, first = await served.invoke("python_coder", **call("x = 41", "ours"))
        _, second = await served.invoke("python_repl", **call("x + 1", "ours"))
        _, elsewhere = await served.invoke("python_coder", **call("'x' in globals()", "theirs"))
        url, headers = f"{served.url}/v1/tools/python_coder/invoke", {"Authorization": f"Bearer {OTHER_KEY}"}
        async with served.client.post(url, json=call("'x' in globals()", "ours"), headers=headers) as answer:
            stranger = await answer.json()
        status, refused = await served.invoke("python_coder", arguments={"code": "1", "session": "../s"})

    assert (first["data"]["session"], second["data"]["session"], second["data"]["value"]) == ("new", "continued", "42")
    assert (elsewhere["data"]["session"], elsewhere["data"]["value"]) == ("new", "False")
    assert (stranger["data"]["session"], stranger["data"]["value"]) == ("new", "False")
    assert (status, refused["error"]["type"]) == (200, "invalid_arguments")


async def test_stopping_the_service_ends_sessions(tmp_path: Path) -> None:
    marker = new_marker()
    async with started(SessionOptions()) as tool:
        await owned(tool, tmp_path, "stop", "s")(f"import subprocess\nsubprocess.Popen(['sleep', '600', '{marker}'])")
        await until_alive(marker)
    await until_gone(marker)


async def test_killing_the_service_ends_sessions_that_stand_still(tmp_path: Path) -> None:
    need_bubblewrap()
    marker = new_marker()
    script = f"""
    import asyncio
    from pathlib import Path
    from tests.tools_api.python_coder.conftest import Caller, InSession, started
    from tools_api.sandbox import SessionOptions
    async def main():
        async with started(SessionOptions()) as tool:
            session = InSession(Caller(tool, Path({str(tmp_path)!r})), "s")
            await session("import subprocess\\nsubprocess.Popen(['sleep', '600', " + {marker!r}.__repr__() + "])")
            print("idle", flush=True)
            await asyncio.sleep(600)
    asyncio.run(main())
    """
    service = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert service.stdout
    try:
        assert any("idle" in line for line in service.stdout)
        sleeper = [pid for pid in await until_alive(marker) if pid != service.pid]
        assert sleeper
    finally:
        service.send_signal(signal.SIGKILL)
        service.communicate()
    await until_gone(marker)


def _children() -> int:
    return len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
