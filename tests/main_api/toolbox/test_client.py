"""The client of the tools API against a real server that behaves and misbehaves."""

import asyncio

import pytest
from aiohttp import web

from shared.errors import InvalidRequest, NotFound, Unavailable, UpstreamFailed
from shared.request_id import bind_request_id
from tests.main_api.toolbox.server import running


async def test_a_call_carries_key_request_id_deadline_and_workspace():
    async with running(timeout_s=7) as (server, client):
        bind_request_id("req-1")
        result = await client.invoke("calculator", {"expression": "12 * 7"}, workspace="w1")
    assert (result.ok, result.content, result.receipt.wall_s) == (True, "84", 0.1)
    request = server.requests[0]
    assert request.headers["authorization"] == "Bearer " + "k" * 32
    assert request.headers["x-request-id"] == "req-1"
    assert server.bodies == [
        {"arguments": {"expression": "12 * 7"}, "workspace": "w1", "deadline_ms": 7000, "request_id": "req-1"}
    ]


async def test_an_alias_reaches_the_tool_once_the_tools_are_known():
    async with running() as (server, client):
        await client.definitions()
        await client.invoke("Python_REPL", {})
    assert server.requests[-1].path == "/v1/tools/python_coder/invoke"


async def test_definitions_are_fetched_once_for_many_callers_and_kept():
    async with running() as (server, client):
        lists = await asyncio.gather(*(client.definitions() for _ in range(20)))
        await client.definitions()
    assert server.listed == 1
    assert [tool.name for tool in lists[7]] == ["calculator", "python_coder"]


async def test_only_the_allowed_tools_are_listed_by_name_or_alias():
    async with running() as (_, client):
        assert [tool.name for tool in await client.definitions(["python_repl", "python_coder"])] == ["python_coder"]
        assert await client.definitions([]) == []
        with pytest.raises(InvalidRequest, match="no tool 'teleport'; there are: calculator, python_coder"):
            await client.definitions(["teleport"])


@pytest.mark.parametrize(
    ("status", "body", "error_type", "said"),
    [
        (400, {"error": {"message": "expression is missing"}}, "invalid_arguments", "expression is missing"),
        (422, {"detail": "bad"}, "invalid_arguments", "bad"),
        (401, {"error": {"message": "secret detail"}}, "tools_unavailable", "TOOLS_API_KEY"),
        (404, {}, "unknown_tool", "no tool 'calculator'"),
        (503, {"error": {"message": "no sandbox here"}}, "tools_unavailable", "no sandbox here"),
        (504, {}, "timeout", "too long"),
        (500, ["x"], "tools_unavailable", "answered 500"),
        (302, {}, "tools_unavailable", "answered 302"),
    ],
)
async def test_a_failed_contract_becomes_a_result(status, body, error_type, said):
    async def fail(_request):
        return web.json_response(body, status=status, headers={"location": "http://127.0.0.1:1/"})

    async with running() as (server, client):
        server.on_invoke = fail
        result = await client.invoke("calculator", {})
    assert not result.ok
    assert result.error.type == error_type
    assert said in result.error.message
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"{}", b'{"ok": "perhaps"}', b"\xff", b"[" * 100_000])
async def test_a_malformed_answer_becomes_a_result(body):
    async def answer(_request):
        return web.Response(body=body, content_type="application/json")

    async with running() as (server, client):
        server.on_invoke = answer
        result = await client.invoke("calculator", {})
    assert result.error.type == "tools_unavailable"


async def test_an_endless_answer_is_not_read_to_its_end():
    sent = 0

    async def flood(request):
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 2**20)
            sent += 1

    async with running() as (server, client):
        server.on_invoke = flood
        result = await client.invoke("calculator", {})
    assert result.error.type == "tools_unavailable"
    assert sent < 100


async def test_a_broken_connection_becomes_a_result():
    async def drop(request):
        request.transport.abort()
        return web.Response()

    async with running() as (server, client):
        server.on_invoke = drop
        result = await client.invoke("calculator", {})
    assert result.error.type == "tools_unavailable"
    assert len(server.requests) == 1


async def test_a_hung_server_times_out_at_the_calls_own_limit():
    async with running(timeout_s=0.1) as (server, client):
        server.on_invoke = server.hang
        async with asyncio.timeout(30):
            result = await client.invoke("calculator", {})
        assert result.error.type == "timeout"
        await asyncio.wait_for(server.hung_up.wait(), 30)


async def test_cancelling_hangs_up():
    async with running() as (server, client):
        server.on_invoke = server.hang
        call = asyncio.create_task(client.invoke("calculator", {}))
        await asyncio.wait_for(server.arrived.wait(), 30)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(server.hung_up.wait(), 30)


async def test_while_the_server_is_down_known_tools_are_marked():
    async with running(definitions_ttl_s=0.0) as (server, client):
        assert all(tool.available for tool in await client.definitions())
        await server.stop()
        tools = await client.definitions()
        assert [tool.available for tool in tools] == [False, False]
        assert tools[0].unavailable_reason == "The tools API cannot be reached."
        assert (await client.invoke("calculator", {})).error.type == "tools_unavailable"
        assert not (await client.health()).reachable
        await server.start()
        assert all(tool.available for tool in await client.definitions())
        assert (await client.invoke("calculator", {})).ok


async def test_a_server_that_never_answered_is_unavailable_and_not_asked_by_everyone():
    async def fail(_request):
        return web.json_response({"data": 7})

    async with running() as (server, client):
        server.on_list = fail
        results = await asyncio.gather(*(client.definitions() for _ in range(10)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert server.listed == 1


@pytest.mark.parametrize("name", ["../admin", "a/b", "", "x" * 65, "a b", "tool?x=1"])
async def test_a_name_that_no_tool_can_have_is_not_sent(name):
    async with running() as (server, client):
        result = await client.invoke(name, {})
    assert result.error.type == "unknown_tool"
    assert server.requests == []


@pytest.mark.parametrize(("arguments", "workspace"), [({"x": object()}, None), ({}, "../up"), ({"x": 2**70}, None)])
async def test_a_call_that_cannot_be_sent_is_explained(arguments, workspace):
    async with running() as (server, client):
        result = await client.invoke("calculator", arguments, workspace=workspace)
    assert result.error.type == "invalid_arguments"
    assert server.requests == []


async def test_health_tells_what_the_server_says():
    async with running() as (_, client):
        health = await client.health()
    assert (health.reachable, health.status) == (True, "healthy")
    assert health.details["tools"] == {"calculator": "ok"}


async def read(chunks):
    return b"".join([chunk async for chunk in chunks])


async def test_an_artifact_is_streamed():
    async def file(_request):
        return web.Response(body=b"x" * 200_000, content_type="image/png")

    async with running() as (server, client):
        server.on_artifact = file
        async with client.artifact("abc") as download:
            body = await read(download.chunks)
    assert (download.media_type, download.size, len(body)) == ("image/png", 200_000, 200_000)


async def test_a_missing_artifact_a_broken_one_and_a_wrong_id_are_told_apart():
    async def fail(_request):
        return web.Response(status=500)

    async with running() as (server, client):
        for artifact_id in ("none", "../x", ""):
            with pytest.raises(NotFound):
                async with client.artifact(artifact_id):
                    pass
        server.on_artifact = fail
        with pytest.raises(UpstreamFailed):
            async with client.artifact("abc"):
                pass
        await server.stop()
        with pytest.raises(Unavailable):
            async with client.artifact("abc"):
                pass


async def test_an_artifact_that_breaks_off_is_an_error():
    async def half(request):
        response = web.StreamResponse(headers={"content-length": "100"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        request.transport.abort()
        return response

    async with running() as (server, client):
        server.on_artifact = half
        async with client.artifact("abc") as download:
            with pytest.raises(UpstreamFailed):
                await read(download.chunks)


async def test_a_tool_that_takes_longer_is_granted_it():
    async def slow_tools(_request: web.Request) -> web.Response:
        slow = {"name": "slow", "description": "", "parameters": {"type": "object"}, "timeout_s": 300}
        return web.json_response({"object": "list", "data": [slow]})

    async with running(timeout_s=7) as (server, client):
        server.on_list = slow_tools
        await client.definitions(None)
        await client.invoke("slow", {})
        await client.invoke("another", {})
    assert [body["deadline_ms"] for body in server.bodies] == [300_000, 7000]
