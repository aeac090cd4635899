"""The real nanocoder, on a node of its own, in the real sandbox; only its model is played."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config import Settings
from tests.tools_api.nanocoder.conftest import KEY
from tests.tools_api.nanocoder.model_server import ModelServer, Say
from tests.tools_api.sandbox.conftest import need_bubblewrap
from tools_api.app import open_tools
from tools_api.invoke.tool import Tool, ToolCall, ToolOutput
from tools_api.nanocoder.installation import NotInstalled, find_installation

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]
FOLDER = Path(sys.prefix) / "nanocoder"


@asynccontextmanager
async def python_coder(model: ModelServer, data_dir: Path) -> AsyncGenerator[Tool]:
    """The tool as an operator who sets these variables gets it."""
    need_bubblewrap()
    try:
        find_installation(FOLDER)
    except NotInstalled as error:
        pytest.skip(str(error))
    settings = Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue]
        data_dir=data_dir,
        python_executor_mode="nanocoder",
        nanocoder_path=FOLDER,
        nanocoder_model="m",
        nanocoder_base_url=model.url,
        nanocoder_api_key=KEY,  # pyright: ignore[reportArgumentType]
    )
    async with open_tools(settings) as toolset:
        tool = next(tool for tool in toolset.tools if tool.definition.name == "python_coder")
        assert tool.definition.available, tool.definition.unavailable_reason
        yield tool


async def _do(tool: Tool, task: str, workspace: Path) -> ToolOutput:
    workspace.mkdir(exist_ok=True)
    return await tool.run(ToolCall(arguments={"task": task}, workspace=workspace, timeout_s=280, caller="test"))


def _write(name: str, content: str) -> Say:
    return Say("I write it first. ", tool="write_file", arguments={"path": name, "content": content})


def _bash(command: str) -> Say:
    return Say("Now I run it. ", tool="execute_bash", arguments={"command": command})


async def test_it_writes_a_program_runs_it_and_answers(model: ModelServer, tmp_path: Path) -> None:
    model.script = [
        _write("sum.py", "print('the sum is', sum(int(line) for line in open('numbers.txt')))"),
        _bash("python3 sum.py > sum.txt && cat sum.txt && rm sum.py"),
        Say("The sum is 60."),
    ]
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "numbers.txt").write_text("10\n20\n30\n")
    async with python_coder(model, tmp_path) as tool:
        output = await _do(tool, "Add the numbers in numbers.txt", workspace)

    assert output.error is None, output
    assert output.content == "The sum is 60.\n[files: sum.txt]"
    assert [(file.name, file.content) for file in output.files] == [("sum.txt", b"the sum is 60\n")]
    assert (workspace / "sum.txt").read_text() == "the sum is 60\n"
    assert output.data["tool_calls"][0] == "write_file: sum.py"
    assert output.data["tokens"] == {"input": 30, "output": 15}
    assert output.data["model_requests"] == 3
    assert output.receipt.cpu_s > 0
    prompt = model.requests[0]["messages"][1]["content"]
    assert "numbers.txt" in prompt
    assert prompt.endswith("Add the numbers in numbers.txt\n")
    assert {headers["authorization"] for headers in model.headers} == {f"Bearer {KEY}"}


async def test_what_it_runs_has_no_network_and_no_key(model: ModelServer, tmp_path: Path) -> None:
    look = "env | grep -c canary; python3 -c 'import socket; socket.create_connection((\"203.0.113.1\", 80), 2)'; id -u"
    model.script = [_bash(look), Say("Looked.")]
    async with python_coder(model, tmp_path) as tool:
        output = await _do(tool, "Look around", tmp_path / "workspace")

    assert output.error is None, output
    heard = model.requests[1]["messages"][-1]["content"]
    assert "Network is unreachable" in heard
    assert "STDOUT:\n0\n65534" in heard


async def test_it_draws_with_the_packages_of_the_sandbox(model: ModelServer, tmp_path: Path) -> None:
    if not (Path(sys.prefix) / "sandbox-packages" / "matplotlib").is_dir():
        pytest.skip("the sandbox's packages are not installed: bash deploy/bootstrap.sh dev")
    code = "import matplotlib.pyplot as plt; plt.plot([1, 4, 9]); plt.savefig('plot.png')"
    model.script = [_bash(f'python3 -c "{code}"'), Say("Here is the plot.")]
    async with python_coder(model, tmp_path) as tool:
        output = await _do(tool, "Plot it", tmp_path / "workspace")

    assert output.error is None, output
    assert [(file.name, file.media_type) for file in output.files] == [("plot.png", "image/png")]
    assert output.files[0].content.startswith(b"\x89PNG")


async def test_a_model_that_does_not_answer_is_the_reason(model: ModelServer, tmp_path: Path) -> None:
    model.status, model.error = 400, b'{"error": {"message": "no such model"}}'
    async with python_coder(model, tmp_path) as tool:
        output = await _do(tool, "Compute", tmp_path / "workspace")

    assert output.error
    assert output.error.type == "model_failed"
