"""The tools over MCP, asked by the SDK's own client."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp import MCPError, types
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.tools_api.conftest import KEY, Serve, Served
from tests.tools_api.fakes import FakeTool, Hanging
from tools_api.invoke.tool import OutputFile, ToolCall, ToolOutput


@asynccontextmanager
async def connected(served: Served, *, mode: str = "auto") -> AsyncGenerator[Client]:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}, timeout=10) as http:
        transport = streamable_http_client(f"{served.url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_tools_are_listed_with_their_schema_and_called(serve: Serve, mode: str) -> None:
    tool = FakeTool()
    async with serve(tool) as served, connected(served, mode=mode) as client:
        listed = await client.list_tools()
        result = await client.call_tool("echo", {"text": "hello"})

    assert [(tool.name, tool.input_schema["required"]) for tool in listed.tools] == [("echo", ["text"])]
    assert not result.is_error
    assert [block.text for block in result.content if isinstance(block, types.TextContent)] == ["hello"]
    assert tool.calls[0].caller == "main_api"


async def test_a_tool_that_cannot_run_is_not_listed(serve: Serve) -> None:
    async with serve(FakeTool(), FakeTool(name="off", available=False)) as served, connected(served) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["echo"]


async def test_wrong_arguments_are_an_error_that_the_model_reads(serve: Serve) -> None:
    async with serve(FakeTool()) as served, connected(served) as client:
        result = await client.call_tool("echo", {"wrong": 1})

    assert result.is_error
    assert isinstance(result.content[0], types.TextContent)
    assert "'text'" in result.content[0].text
    assert result.structured_content["error"]["type"] == "invalid_arguments"


async def test_an_unknown_tool_is_a_protocol_error(serve: Serve) -> None:
    async with serve(FakeTool()) as served, connected(served) as client:
        with pytest.raises(MCPError, match="no tool 'nothing'"):
            await client.call_tool("nothing", {})


async def test_files_are_linked(serve: Serve) -> None:
    async def drawing(_call: ToolCall) -> ToolOutput:
        return ToolOutput(content="drawn", files=(OutputFile(name="p.png", media_type="image/png", content=b"png"),))

    async with serve(FakeTool(drawing)) as served, connected(served) as client:
        result = await client.call_tool("echo", {"text": "a"})
        link = next(block for block in result.content if isinstance(block, types.ResourceLink))
        async with served.client.get(served.url + link.uri) as answer:
            content = await answer.read()

    assert content == b"png"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_that_goes_away_stops_the_tool(serve: Serve, mode: str) -> None:
    hanging = Hanging()
    async with serve(FakeTool(hanging)) as served:

        async def call() -> None:
            async with connected(served, mode=mode) as client:
                await client.call_tool("echo", {"text": "a"})

        calling = asyncio.create_task(call())
        await hanging.begun.wait()
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        async with asyncio.timeout(30):
            await hanging.stopped.wait()


async def test_a_tool_that_streams_is_called_as_any_other(serve: Serve) -> None:
    tool = FakeTool(streams=True)
    async with serve(tool, slots={"echo": 1}) as served, connected(served) as client:
        results = await asyncio.gather(*(client.call_tool("echo", {"text": str(number)}) for number in range(5)))

    assert [result.content[0].text for result in results] == [str(number) for number in range(5)]  # pyright: ignore
    assert [call.on_output for call in tool.calls] == [None] * 5


async def test_a_tool_that_takes_longer_gets_the_time_that_it_asks_for(serve: Serve) -> None:
    usual, long = FakeTool(), FakeTool(name="long", timeout_s=300)
    async with serve(usual, long, default_tool_timeout=20) as served, connected(served) as client:
        await client.call_tool("echo", {"text": "x"})
        await client.call_tool("long", {"text": "x"})

    assert usual.calls[0].timeout_s <= 20
    assert 20 < long.calls[0].timeout_s <= 300
