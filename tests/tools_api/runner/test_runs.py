"""The tool `python_coder` with its sandbox elsewhere: the answers are those of a sandbox here."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools_api.marked import new_marker, until_alive, until_gone
from tests.tools_api.runner.conftest import LIMITS, remote_sandbox, serving
from tests.tools_api.sandbox.landlock.conftest import need_landlock, usable_interpreter
from tools_api.invoke.tool import StreamName, ToolCall, ToolOutput
from tools_api.python_coder import PythonCoder, PythonCoderOptions
from tools_api.sandbox import Job, Sandbox
from tools_api.sandbox.interpreter import own_interpreter
from tools_api.sandbox.packages import installed_names

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

PACKAGES = Path(sys.prefix) / "sandbox-packages"


async def _call(sandbox: Sandbox, workspace: Path, code: str, *, timeout_s: float = 60) -> ToolOutput:
    tool = PythonCoder(sandbox, PythonCoderOptions(packages=PACKAGES))
    return await tool.run(ToolCall(arguments={"code": code}, workspace=workspace, timeout_s=timeout_s, caller="test"))


async def test_the_level_says_what_it_found(remote: Sandbox) -> None:
    report = remote.report
    assert (report.level, report.python) == ("remote", f"{sys.version_info.major}.{sys.version_info.minor}")
    assert {"key_required", "scripts_same", "runner_tested", "runner_secret_unreadable"} <= report.checks.keys()
    assert {"secret_unreadable", "loopback_refused", "memory_limited"} <= report.checks.keys()
    assert all(report.checks.values())


async def test_code_runs_and_its_value_comes_back(remote: Sandbox, tmp_path: Path) -> None:
    output = await _call(remote, tmp_path, "print('hello')\n6 * 7")
    assert output.error is None
    assert (output.data["stdout"], output.data["value"]) == ("hello\n", "42")
    assert output.receipt.cpu_s is not None


async def test_an_error_has_its_traceback(remote: Sandbox, tmp_path: Path) -> None:
    output = await _call(remote, tmp_path, "x = 1\nx / 0")
    assert output.error is not None
    assert output.error.message == "ZeroDivisionError: division by zero"
    assert "line 2" in output.data["traceback"]


async def test_files_go_there_and_come_back(remote: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(bytes(range(256)) * 1000)
    output = await _call(
        remote, tmp_path, "d = open('in.csv', 'rb').read(); open('out.bin', 'wb').write(d[::-1]); len(d)"
    )
    assert output.data["value"] == "256000"
    assert [(file.name, file.content) for file in output.files] == [("out.bin", (bytes(range(256)) * 1000)[::-1])]


@pytest.mark.skipif(not installed_names(PACKAGES), reason="the data packages are not installed")
async def test_a_plot_comes_back_as_an_image(remote: Sandbox, tmp_path: Path) -> None:
    output = await _call(remote, tmp_path, "import matplotlib.pyplot as plt\nplt.plot([1, 4, 9])")
    assert [(file.name, file.content[:8]) for file in output.files] == [("figure_1.png", b"\x89PNG\r\n\x1a\n")]


async def test_output_is_read_along_while_it_runs(remote: Sandbox) -> None:
    heard: list[tuple[StreamName, bytes]] = []
    first = asyncio.Event()

    def listen(stream: StreamName, content: bytes) -> None:
        heard.append((stream, content))
        first.set()

    job = Job(argv=("/bin/sh", "-c", "echo one; read -r _; sleep 600"))
    running = asyncio.create_task(remote.run(job, on_output=listen))
    await asyncio.wait_for(first.wait(), 60)
    assert heard == [("stdout", b"one\n")]
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    both = Job(argv=("/bin/sh", "-c", "echo out; echo err >&2"))
    heard.clear()
    outcome = await remote.run(both, on_output=listen)
    assert sorted(heard) == [("stderr", b"err\n"), ("stdout", b"out\n")]
    assert (outcome.stdout, outcome.stderr) == (b"out\n", b"err\n")


@pytest.mark.parametrize(
    ("script", "limit", "limits"),
    [
        ("sleep 600", "timeout", {"wall_s": 0.5}),
        ("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", "output", {}),
        ("head -c 40000000 /dev/zero >a; head -c 40000000 /dev/zero >b", "files", {"workspace_bytes": 30 << 20}),
    ],
    ids=["time", "output", "files"],
)
async def test_limits_hold_there(remote: Sandbox, script: str, limit: str, limits: dict[str, int]) -> None:
    job = Job(argv=("/bin/sh", "-c", script), limits=replace(LIMITS, **limits))
    outcome = await remote.run(job)
    assert outcome.limit == limit, outcome
    assert len(outcome.stdout) <= LIMITS.output_bytes


async def test_leaving_stops_the_run(remote: Sandbox) -> None:
    marker = new_marker()
    running = asyncio.create_task(remote.run(Job(argv=("/bin/sh", "-c", f"sleep 600 {marker}"))))
    await until_alive(marker)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until_gone(marker)


async def test_many_at_once_get_their_own_answers(remote: Sandbox) -> None:
    jobs = [Job(argv=("/bin/echo", str(number))) for number in range(16)]
    outcomes = await asyncio.gather(*(remote.run(job) for job in jobs))
    assert [outcome.stdout for outcome in outcomes] == [f"{number}\n".encode() for number in range(16)]


async def test_what_a_run_forges_stays_text(remote: Sandbox) -> None:
    outcome = await remote.run(
        Job(argv=("/bin/sh", "-c", "printf 'r\\000\\000\\000\\002{}'; printf 'x\\377\\377\\377\\377'"))
    )
    assert outcome.stdout == b"r\0\0\0\x02{}x\xff\xff\xff\xff"


async def test_a_runner_without_namespaces_uses_landlock(tmp_path: Path) -> None:
    need_landlock()
    if usable_interpreter() != own_interpreter():
        pytest.skip("root's runs can't read this Python: test_ordinary_user.py does it under another uid")
    async with serving(sandbox_levels="landlock-seccomp") as url, remote_sandbox(url) as sandbox:
        assert sandbox.report.available, sandbox.report
        assert sandbox.report.checks["signals_refused"]
        assert (await _call(sandbox, tmp_path, "print(6 * 7)")).data["stdout"] == "42\n"
