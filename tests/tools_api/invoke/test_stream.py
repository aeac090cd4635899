"""`stream: true` over HTTP: what comes when, what ends it, readers that leave or do not read. And turns, over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import psutil
import pytest
from prometheus_client import REGISTRY

from shared.errors import Unavailable
from tests.tools_api.conftest import KEY, OTHER_KEY, Serve, Served
from tests.tools_api.fakes import FakeTool, Hanging
from tools_api.invoke.tool import StreamName, ToolCall, ToolOutput

Event = tuple[str, Any]


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    """Read events; comments are left out."""
    buffered = b""
    async for chunk in answer.content.iter_any():
        *frames, buffered = (buffered + chunk).split(b"\n\n")
        for frame in frames:
            fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if not line.startswith(b":"))
            if fields:
                yield fields[b"event"].decode(), json.loads(fields[b"data"])
    assert buffered == b""


def asking(served: Served, tool: str = "echo", **body: Any) -> Any:
    call = {"arguments": {"text": "a"}, "stream": True, "deadline_ms": 600_000, **body}
    return served.client.post(f"{served.url}/v1/tools/{tool}/invoke", json=call)


def show(call: ToolCall, text: str, stream: StreamName = "stdout") -> None:
    assert call.on_output is not None
    call.on_output(stream, text.encode())


async def test_output_comes_while_the_tool_runs_and_the_result_at_the_end(serve: Serve) -> None:
    heard = asyncio.Event()

    async def printing(call: ToolCall) -> ToolOutput:
        show(call, "grüße\n")
        await heard.wait()
        show(call, "oh\n", "stderr")
        return ToolOutput(content="done", data={"n": 1})

    async with serve(FakeTool(printing, streams=True)) as served, asyncio.timeout(300), asking(served) as answer:
        read = events(answer)
        first = await anext(read)
        heard.set()
        rest = [event async for event in read]

    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    assert first == ("output", {"stream": "stdout", "text": "grüße\n"})
    assert rest[0] == ("output", {"stream": "stderr", "text": "oh\n"})
    assert [name for name, _ in rest] == ["output", "result"]


async def test_the_result_is_the_answer_of_a_plain_call(serve: Serve) -> None:
    async with serve(FakeTool()) as served:
        async with asking(served) as answer:
            streamed = [event async for event in events(answer)]
        _, plain = await served.invoke("echo", arguments={"text": "a"})
        _, wrong = await served.invoke("echo", arguments={})
        async with asking(served, arguments={}) as answer:
            streamed_wrong = [event async for event in events(answer)]

    for (event, result), expected in zip([*streamed, *streamed_wrong], [plain, wrong], strict=True):
        for either in (result, expected):
            either["receipt"].pop("wall_s")
        assert (event, result) == ("result", expected)


async def test_a_refusal_is_an_http_status_as_ever(serve: Serve) -> None:
    off = FakeTool(name="off", available=False, unavailable_reason="no")
    async with serve(off, FakeTool()) as served:
        for tool, body, expected in (("off", {}, 503), ("none", {}, 404), ("echo", {"stream": "yes please"}, 400)):
            async with asking(served, tool, **body) as answer:
                assert (answer.status, answer.content_type) == (expected, "application/json")
                assert (await answer.json())["error"]["message"]


async def test_a_failure_of_the_machine_after_the_first_output_is_the_last_event(serve: Serve) -> None:
    heard = asyncio.Event()

    async def failing(call: ToolCall) -> ToolOutput:
        show(call, "a")
        await heard.wait()
        raise Unavailable("the sandbox is gone")

    async with serve(FakeTool(failing, streams=True)) as served, asyncio.timeout(300), asking(served) as answer:
        read = events(answer)
        await anext(read)
        heard.set()
        last = [event async for event in read]

    assert [name for name, _ in last] == ["error"]
    assert last[0][1]["error"]["code"] == "service_unavailable"
    assert last[0][1]["error"]["message"] == "the sandbox is gone"


async def test_a_quiet_tool_has_opened_its_stream_before_it_says_anything(serve: Serve) -> None:
    hanging = Hanging()
    async with serve(FakeTool(hanging)) as served, asyncio.timeout(300), asking(served) as answer:
        assert await answer.content.readline() == b": open\n"
        assert not hanging.stopped.is_set()


@pytest.mark.parametrize("quiet", [True, False])
async def test_a_caller_who_leaves_stops_the_tool(serve: Serve, quiet: bool) -> None:
    hanging = Hanging()

    async def action(call: ToolCall) -> ToolOutput:
        if not quiet:
            show(call, "a")
        return await hanging(call)

    async with serve(FakeTool(action, streams=True)) as served, asyncio.timeout(300):
        answer = await asking(served)
        await answer.content.readline()
        answer.close()
        await hanging.stopped.wait()


async def test_a_caller_who_does_not_read_costs_no_memory_and_holds_nobody_up(serve: Serve) -> None:
    ended, process = asyncio.Event(), psutil.Process()
    total = 64 * 2**20

    async def flooding(call: ToolCall) -> ToolOutput:
        for _ in range(total // 2**20):
            show(call, "x" * 2**20)
            await asyncio.sleep(0)
        ended.set()
        return ToolOutput(content="done")

    async with serve(FakeTool(flooding, streams=True)) as served, asyncio.timeout(300):
        before = process.memory_info().rss
        async with asking(served) as answer:
            await ended.wait()
            grown = process.memory_info().rss - before
            late = [event async for event in events(answer)]

    assert grown < 40 * 2**20
    assert (late[-1][0], late[-1][1]["content"]) == ("result", "done")
    said = "".join(event["text"] for name, event in late if name == "output")
    assert "bytes left out here" in said
    assert len(said) < total / 2


async def test_the_hundred_calls_of_one_key_delay_anothers_by_one_turn(serve: Serve) -> None:
    gate = asyncio.Event()

    async def waiting(_call: ToolCall) -> ToolOutput:
        await gate.wait()
        return ToolOutput(content="done")

    tool = FakeTool(waiting, name="flooded")
    body = {"arguments": {"text": "a"}, "deadline_ms": 600_000}
    async with serve(tool, slots={"flooded": 1}) as served, aiohttp.ClientSession() as other, asyncio.timeout(300):
        flood = [asyncio.create_task(served.invoke("flooded", **body)) for _ in range(100)]
        await until_waiting("flooded", 99)
        url = f"{served.url}/v1/tools/flooded/invoke"
        one = asyncio.create_task(other.post(url, json=body, headers={"X-API-Key": OTHER_KEY}))
        await until_waiting("flooded", 100)
        async with other.get(f"{served.url}/metrics", headers={"X-API-Key": KEY}) as answer:
            metrics = await answer.text()
        gate.set()
        statuses = [status for status, _ in await asyncio.gather(*flood)]
        assert (await one).status == 200

    assert statuses == [200] * 100
    assert [call.caller for call in tool.calls].index("other") <= 2
    assert 'twinport_tool_calls_waiting{tool="flooded"} 100.0' in metrics
    assert 'twinport_tool_calls_running{tool="flooded"} 1.0' in metrics


@pytest.mark.parametrize("stream", [True, False])
async def test_one_call_too_many_is_refused_with_a_time_to_come_back(serve: Serve, stream: bool) -> None:
    hanging = Hanging()
    async with serve(FakeTool(hanging), slots={"echo": 1}, tools_caller_waiting=0) as served, asyncio.timeout(300):
        running = asyncio.create_task(served.invoke("echo", arguments={"text": "a"}, deadline_ms=600_000))
        await hanging.begun.wait()
        async with asking(served, stream=stream) as answer:
            refused = await answer.json()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    assert refused["error"]["code"] == "rate_limit_exceeded"


async def until_waiting(tool: str, count: int) -> None:
    while REGISTRY.get_sample_value("twinport_tool_calls_waiting", {"tool": tool}) != count:
        await asyncio.sleep(0.01)
