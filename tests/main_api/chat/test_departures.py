"""Callers who leave: the upstream and the tools are told within a second, and nothing stays behind."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tests.main_api.served.platform import Platform
from tests.main_api.served.upstream import DONE, chunk, stream

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

WAYS = pytest.mark.parametrize("way", ["relayed", "rendered", "agent"])
CALL = {"id": "c1", "type": "function", "function": {"name": "calculator", "arguments": '{"expression": "1+1"}'}}


def caller(served: Platform, way: str) -> tuple[str, dict[str, Any]]:
    extras = {"relayed": {}, "rendered": {"store": True}, "agent": {"agent_type": "react", "store": True}}
    return served.program, extras[way]


@pytest.mark.parametrize("way", ["relayed", "rendered"])
async def test_leaving_a_stream_ends_it_upstream(served: Platform, way: str) -> None:
    model = served.model()
    script = served.upstream.streams(model, *(chunk({"content": f"{i} "}) for i in range(3)), then="hang")
    key, extra = caller(served, way)

    async with served.open_stream(key, model, **extra) as response:
        while b"2 " not in await response.content.readuntil(b"\n\n"):
            pass

    async with asyncio.timeout(30):
        await script.hung_up.wait()
    (row,) = await served.usage(model)
    assert (row["partial"], row["status"]) == (1, 499)
    assert row["completion_tokens"] >= (3 if way == "relayed" else 1)
    assert await served.settled() == set()


@WAYS
async def test_leaving_before_the_first_token_ends_it_upstream(served: Platform, way: str) -> None:
    model = served.model()
    script = served.upstream.hangs(model)
    key, extra = caller(served, way)

    await leave(served, model, script, key, stream=True, **extra)

    (row,) = await served.usage(model)
    assert (row["partial"], row["status"], row["completion_tokens"]) == (1, 499, 0)


@WAYS
async def test_leaving_a_whole_answer_ends_it_upstream(served: Platform, way: str) -> None:
    model = served.model()
    script = served.upstream.hangs(model)
    key, extra = caller(served, way)

    await leave(served, model, script, key, **extra)

    (row,) = await served.usage(model)
    assert (row["partial"], row["status"]) == (1, 499)
    assert await served.settled() == set()


async def leave(served: Platform, model: str, script: Any, key: str, **fields: Any) -> None:
    """Ask, leave once the upstream has the request, and expect the upstream to notice."""
    before = script.aborted
    asking = asyncio.create_task(served.chat(key, model, **fields))
    async with asyncio.timeout(30):
        asked = len(script.bodies)
        while len(script.bodies) == asked:
            await asyncio.sleep(0.005)
    asking.cancel()
    async with asyncio.timeout(30):
        while script.aborted == before:
            await asyncio.sleep(0.005)


async def test_the_session_keeps_what_was_said_before_the_caller_left(served: Platform) -> None:
    model = served.model()
    script = served.upstream.streams(model, chunk({"content": "One "}), chunk({"content": "two"}), then="hang")

    async with served.open_stream(served.person, model) as response:
        while b"two" not in await response.content.readuntil(b"\n\n"):
            pass
    await script.hung_up.wait()
    await served.settled()

    kept = (await served.history(served.person, response.headers["x-session-id"]))[-1]
    assert (kept["content"], kept["status"]) == ("One two", "partial")


async def test_a_session_can_go_on_after_its_caller_left(served: Platform) -> None:
    model = served.model()
    script = served.upstream.streams(model, chunk({"content": "One"}), then="hang")
    async with served.open_stream(served.person, model) as response:
        await response.content.readuntil(b"\n\n")
    await script.hung_up.wait()
    served.upstream.says(model, "Hi")

    async with asyncio.timeout(30):
        answer = await served.chat(served.person, model, "More?", session_id=response.headers["x-session-id"])

    assert script.messages == [("user", "Hello"), ("assistant", "One"), ("user", "More?")]
    assert answer.text == "Hi"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_leaving_cancels_the_tool(served: Platform, streamed: bool) -> None:
    model = served.model()
    served.upstream.streams(model, chunk({"tool_calls": [{"index": 0, **CALL}]}), chunk(finish="tool_calls"), DONE)
    served.tools.arrived.clear()
    served.tools.hung_up.clear()
    usual, served.tools.on_invoke = served.tools.on_invoke, served.tools.hang
    try:
        extra = {"agent_type": "react", "available_tools": ["calculator"], "stream": streamed}
        asking = asyncio.create_task(served.chat(served.program, model, **extra))
        async with asyncio.timeout(30):
            await served.tools.arrived.wait()
        asking.cancel()
        async with asyncio.timeout(30):
            await served.tools.hung_up.wait()
    finally:
        served.tools.on_invoke = usual
    assert await served.settled() == set()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_fifty_departures_of_every_kind_leave_no_task_behind(served: Platform, streamed: bool) -> None:
    scripts = []
    for number in range(50):
        model = served.model()
        if streamed and number % 2:
            script = served.upstream.streams(model, chunk({"content": "a"}), then="hang")
        else:
            script = served.upstream.hangs(model)
        key, extra = caller(served, ("relayed", "rendered", "agent")[number % 3])
        scripts.append((model, script, key, extra))

    await asyncio.gather(*(leave(served, m, s, k, stream=streamed, **e) for m, s, k, e in scripts))

    assert await served.settled() == set()
    assert all(script.aborted == 1 for _, script, _, _ in scripts)


async def test_a_caller_who_leaves_while_sending_is_no_error(
    served: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {served.program}\r\n"
    with capture_logs() as logs:
        writer.write(f"{head}content-length: 1000\r\n\r\n{{".encode())
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()
        async with asyncio.timeout(30):
            while not any(line["event"] == "request" for line in logs):
                await asyncio.sleep(0.01)

    assert [line["status"] for line in logs if line["event"] == "request"] == [499]
    assert [line["event"] for line in logs] == ["request"]
    assert "Exception in ASGI" not in caplog.text


async def test_fifty_people_who_leave_at_random_times_get_only_their_own_answers(served: Platform) -> None:
    model = served.model()

    async def echo(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        words = [chunk({"content": f"{body['messages'][-1]['content']} "}) for _ in range(20)]
        return await stream(request, [*words, chunk(finish="stop"), DONE], pause_s=0.005)

    served.upstream.does(model, echo)

    async def someone(number: int) -> None:
        canary = f"canary{number}"
        key, extra = caller(served, ("relayed", "rendered")[number % 2])
        try:
            async with asyncio.timeout(0.02 + number % 10 / 50):
                answer = await served.stream(key, model, canary, **extra)
        except (TimeoutError, aiohttp.ClientError):
            return
        assert set(answer.text.split()) == {canary}

    await asyncio.gather(*(someone(number) for number in range(50)))
    assert await served.settled() == set()
