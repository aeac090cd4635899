"""`python -m main_api` under signals: what callers see of its end, and what is there when it starts again."""

import asyncio
import random
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from tests.main_api.served.platform import chat_body
from tests.main_api.served.process import MainProcess, main_process
from tests.main_api.served.upstream import Upstream, chunk, stream

pytestmark = pytest.mark.slow

GRACE_S = 2


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream().running() as running:
        yield running


@pytest.fixture
async def main(tmp_path: Path, upstream: Upstream, unused_tcp_port: int) -> AsyncIterator[MainProcess]:
    settings = {"OPENAI_COMPATIBLE_BASE_URL": upstream.base_url, "SHUTDOWN_GRACE_S": str(GRACE_S)}
    async with main_process(tmp_path, unused_tcp_port, **settings) as running:
        yield running


async def test_sigterm_ends_open_streams_with_an_error_and_exits_in_time(main: MainProcess, upstream: Upstream) -> None:
    """Three callers who would wait for ever: relayed, rendered and kept, and one who waits for a whole answer."""
    for model in ("relayed", "rendered"):
        upstream.streams(model, chunk({"content": "One "}), chunk({"content": "two"}), then="hang")
    upstream.hangs("whole")
    person = await main.person("ada")
    program = await main.program(person)
    asked = [
        asyncio.create_task(main.chat(program, "relayed", stream=True)),
        asyncio.create_task(main.chat(person, "rendered", stream=True)),
        asyncio.create_task(main.chat(person, "whole")),
    ]
    while not all(upstream.scripts[model].bodies for model in upstream.scripts):
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)

    started = time.monotonic()
    main.signal(signal.SIGTERM)
    relayed, rendered, whole = await asyncio.gather(*asked, return_exceptions=True)
    status = await main.ended()
    seconds = time.monotonic() - started

    assert status in {0, -signal.SIGTERM}
    assert seconds >= GRACE_S, "and `ended` does not wait for ever"
    for answer in (relayed, rendered):
        assert not isinstance(answer, BaseException), answer
        assert answer.text == "One two"
        assert [error["type"] for error in answer.errors] == ["service_unavailable"]
        assert not answer.done
    assert isinstance(whole, aiohttp.ClientError) or whole.status in {500, 503}
    assert "Traceback" not in main.log.read_text()

    await main.start()
    kept = await main.call("GET", f"/api/chat/history/{rendered.headers['x-session-id']}", key=person)
    answer = kept.body["messages"][-1]
    assert (answer["content"], answer["status"]) == ("One two", "partial")


async def test_sigterm_lets_a_stream_finish_that_is_about_to(main: MainProcess, upstream: Upstream) -> None:
    frames = [*(chunk({"content": f"{number} "}) for number in range(8)), chunk(finish="stop"), b"data: [DONE]\n\n"]
    upstream.streams("m", *frames, pause_s=0.1)
    person = await main.person("ada")
    asked = asyncio.create_task(main.chat(person, "m", stream=True))
    while not upstream.scripts["m"].bodies:
        await asyncio.sleep(0.02)

    main.signal(signal.SIGTERM)
    answer = await asked
    await main.ended()

    assert answer.done
    assert answer.text.split() == [str(number) for number in range(8)]


async def test_readers_that_do_not_read_cost_little_and_disturb_nobody(
    tmp_path: Path, upstream: Upstream, unused_tcp_port: int
) -> None:
    """Twenty callers take nothing of an answer of 20 MB each. The prompt log, which keeps what was sent, is off."""
    settings = {"OPENAI_COMPATIBLE_BASE_URL": upstream.base_url, "PROMPT_LOG_ENABLED": "false"}
    async with main_process(tmp_path, unused_tcp_port, **settings) as main:
        await _read_nothing(main, upstream)


async def _read_nothing(main: MainProcess, upstream: Upstream) -> None:
    piece = chunk({"content": "x" * 10_000})

    async def flood(request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
        return await stream(request, [piece] * 2000)

    upstream.does("flood", flood)
    upstream.says("quick", "Hi")
    program = await main.program(await main.person("ada"))
    usual = [await _seconds(main.chat(program, "quick", stream=True)) for _ in range(20)]
    before = main.resident_bytes()
    host, port = main.url.removeprefix("http://").split(":")
    body = orjson.dumps(chat_body("flood", stream=True))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {program}\r\n"
    sockets = []
    for _ in range(20):
        idle = socket.create_connection((host, int(port)))
        idle.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        sockets.append(idle)
    await asyncio.sleep(2)

    during = [await _seconds(main.chat(program, "quick", stream=True)) for _ in range(20)]
    grown = main.resident_bytes() - before
    for idle in sockets:
        idle.close()

    assert grown < 20 * 1.5 * 2**20
    assert sorted(during)[10] < sorted(usual)[10] * 1.5 + 0.02
    async with asyncio.timeout(30):
        while upstream.scripts["flood"].aborted < 20:
            await asyncio.sleep(0.02)


async def _seconds(asking: Awaitable[Any]) -> float:
    started = time.perf_counter()
    await asking
    return time.perf_counter() - started


async def test_a_second_signal_ends_it_at_once(tmp_path: Path, upstream: Upstream, unused_tcp_port: int) -> None:
    """It would wait for an hour, and `ended` waits for a minute."""
    settings = {"OPENAI_COMPATIBLE_BASE_URL": upstream.base_url, "SHUTDOWN_GRACE_S": "3600"}
    async with main_process(tmp_path, unused_tcp_port, **settings) as main:
        upstream.hangs("m")
        asked = asyncio.create_task(main.chat(await main.person("ada"), "m"))
        while not upstream.scripts["m"].bodies:
            await asyncio.sleep(0.02)

        main.signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        main.signal(signal.SIGINT)  # the second Ctrl-C is the one that means it
        await main.ended()
        await asyncio.gather(asked, return_exceptions=True)


async def test_a_killed_server_has_every_answer_that_it_acknowledged(main: MainProcess, upstream: Upstream) -> None:
    """Kill it ten times under load; what was answered whole or ended with [DONE] must be in the history afterwards."""

    async def echo(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        text = f"re: {body['messages'][-1]['content']}"
        if not body.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            return web.json_response({"choices": [choice]})
        pieces = [chunk({"content": text[:4]}), chunk({"content": text[4:]}), chunk(finish="stop")]
        return await stream(request, [*pieces, b"data: [DONE]\n\n"], pause_s=0.003)

    upstream.does("m", echo)
    person = await main.person("ada")
    seen = 0
    for round_number in range(10):
        acknowledged: dict[str, list[str]] = {}
        writers = [asyncio.create_task(_write(main, person, f"{round_number}.{n}", acknowledged)) for n in range(6)]
        await asyncio.sleep(random.uniform(0.4, 1.0))
        await main.kill()
        await asyncio.gather(*writers)
        await main.start()
        for session_id, questions in acknowledged.items():
            seen += len(questions)
            await _assert_kept(main, person, session_id, questions)
    assert seen > 100


async def _write(main: MainProcess, key: str, name: str, acknowledged: dict[str, list[str]]) -> None:
    """Chat in one session until the server dies; note what it acknowledged."""
    session_id = ""
    for number in range(10_000):
        question = f"{name}.{number}"
        extra = {"session_id": session_id} if session_id else {}
        try:
            answer = await main.chat(key, "m", question, stream=number % 2 == 1, **extra)
        except aiohttp.ClientError:
            return
        if number % 2 == 1 and not answer.done:
            return
        session_id = answer.headers["x-session-id"]
        acknowledged.setdefault(session_id, []).append(question)


async def _assert_kept(main: MainProcess, key: str, session_id: str, questions: list[str]) -> None:
    answer = await main.call("GET", f"/api/chat/history/{session_id}", key=key)
    assert answer.status == 200
    messages = answer.body["messages"]
    asked = [message["content"] for message in messages if message["role"] == "user"]
    whole = [m["content"] for m in messages if m["role"] == "assistant" and m["status"] == "complete"]
    assert asked[: len(questions)] == questions
    assert whole[: len(questions)] == [f"re: {question}" for question in questions]
    assert len(asked) <= len(questions) + 1  # the one that was under way
    assert orjson.dumps(messages).count(b'"pending"') == 0
