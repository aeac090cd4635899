"""Code in the sandbox, read along: through the real server, and with callers who leave."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from tests.tools_api.conftest import Serve, Served
from tests.tools_api.marked import until_alive, until_gone
from tests.tools_api.python_coder.conftest import Caller
from tools_api.invoke.tool import ToolCall
from tools_api.python_coder import PythonCoder

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

SLEEPING = "import subprocess\nprint('one')\nsubprocess.run(['/bin/sh', '-c', 'sleep 600; : {marker}'])"


def asking(served: Served, code: str, *, stream: bool) -> Any:
    call = {"arguments": {"code": code}, "stream": stream, "deadline_ms": 600_000}
    return served.client.post(f"{served.url}/v1/tools/python_coder/invoke", json=call)


async def data_lines(answer: Any) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


async def test_what_the_code_prints_comes_before_its_end_and_leaving_ends_it(serve: Serve, tool: PythonCoder) -> None:
    marker = secrets.token_hex(8)
    before = cancelled()
    async with serve(tool) as served, asyncio.timeout(300):
        answer = await asking(served, SLEEPING.format(marker=marker), stream=True)
        first = await anext(data_lines(answer))
        await until_alive(marker)
        answer.close()
        await until_gone(marker)
        await until_cancelled(before + 1)

    assert first == {"stream": "stdout", "text": "one\n"}


async def test_leaving_a_call_that_is_not_streamed_ends_the_code(serve: Serve, tool: PythonCoder) -> None:
    marker = secrets.token_hex(8)
    async with serve(tool) as served, asyncio.timeout(300):
        before = cancelled()
        calling = asyncio.create_task(asked(served, SLEEPING.format(marker=marker)))
        await until_alive(marker)
        calling.cancel()
        await until_gone(marker)
        await until_cancelled(before + 1)


async def test_a_character_that_is_written_in_halves_is_read_whole(run: Caller) -> None:
    code = "import os, time\nos.write(1, b'\\xe2')\ntime.sleep(0.3)\nos.write(1, b'\\x82\\xac')"
    pieces, output = await read_along(run, code)

    assert b"".join(content for _, content in pieces) == "€".encode()
    assert output.data["stdout"] == "€"


async def test_no_more_is_shown_than_the_result_keeps(run: Caller) -> None:
    pieces, output = await read_along(run, "while True: print('x' * 1000)")

    assert output.error is not None
    assert output.error.type == "output"
    assert b"".join(content for _, content in pieces).decode() == output.data["stdout"]


async def test_stderr_is_told_from_stdout(run: Caller) -> None:
    pieces, _ = await read_along(run, "import sys\nprint('a')\nprint('b', file=sys.stderr)")

    assert dict(pieces) == {"stdout": b"a\n", "stderr": b"b\n"}


async def read_along(run: Caller, code: str) -> tuple[list[tuple[str, bytes]], Any]:
    pieces: list[tuple[str, bytes]] = []
    call = ToolCall(
        arguments={"code": code},
        workspace=run.workspace,
        timeout_s=30,
        caller="test",
        on_output=lambda stream, content: pieces.append((stream, content)),
    )
    return pieces, await run.tool.run(call)


async def asked(served: Served, code: str) -> None:
    async with asking(served, code, stream=False) as answer:
        await answer.read()


async def until_cancelled(count: float) -> None:
    """Wait until as many calls of the tool were cancelled; one that ends by itself is none."""
    while cancelled() < count:
        await asyncio.sleep(0.02)


def cancelled() -> float:
    labels = {"tool": "python_coder", "outcome": "cancelled"}
    return REGISTRY.get_sample_value("twinport_tool_calls_total", labels) or 0.0
