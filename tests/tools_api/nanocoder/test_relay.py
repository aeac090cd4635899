"""The relay between a sandbox and a model, attacked from the inside: bytes on the channel, without node or sandbox."""

import asyncio
import json
import random

import pytest

from tests.tools_api.nanocoder.conftest import CHAT, KEY, inside
from tests.tools_api.nanocoder.model_server import ModelServer, Say
from tools_api.nanocoder.frames import DATA, HEAD, REQUEST
from tools_api.nanocoder.relay import RelayLimits


async def test_a_completion_comes_through_with_the_key_added_outside(model: ModelServer) -> None:
    async with inside(model) as agent:
        heard = await agent.chat()
    assert (heard.status, heard.media_type, heard.whole) == (200, "text/event-stream", True)
    assert b"Hello" in heard.body
    assert model.paths == ["POST /v1/chat/completions"]
    assert model.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_the_list_of_models_is_the_one_model(model: ModelServer) -> None:
    async with inside(model) as agent:
        heard = await agent.ask("GET", "/v1/models")
    assert [entry["id"] for entry in json.loads(heard.body)["data"]] == ["m"]
    assert model.paths == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("PUT", "/v1/chat/completions", 405),
        ("CONNECT", "evil.example:443", 404),
        ("POST", "/v1/models", 405),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/", 404),
        ("GET", "/v1/models/../../api/auth/me", 404),
        ("POST", "/v1/chat/completions/", 404),
        ("POST", "/v1/chat/completions?x=1", 404),
        ("POST", "//v1/chat/completions", 404),
        ("POST", "/v1/chat/completions\r\nHost: evil.example", 404),
        ("POST", "http://evil.example/v1/chat/completions", 404),
        ("POST", "@evil.example/v1/chat/completions", 404),
        ("post", "/v1/chat/completions", 405),
    ],
)
async def test_nothing_else_passes(model: ModelServer, method: str, path: str, status: int) -> None:
    async with inside(model) as agent:
        heard = await agent.ask(method, path, b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}')
        assert heard.status == status
        assert (await agent.chat()).status == 200
    assert model.paths == ["POST /v1/chat/completions"]


@pytest.mark.parametrize("fields", [{"model": "dearer"}, {"n": 50}, {"agent_type": "react"}])
async def test_a_request_for_more_is_refused_before_it_leaves(model: ModelServer, fields: dict[str, object]) -> None:
    async with inside(model) as agent:
        heard = await agent.chat(**fields)
    assert heard.status == 400
    assert model.paths == []


async def test_headers_of_the_server_stay_outside(model: ModelServer) -> None:
    async with inside(model) as agent:
        await agent.send(*CHAT, b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}')
        kind, _, head = await agent.frame()
    assert (kind, head) == (HEAD, b"200\0text/event-stream")


async def test_a_server_that_repeats_the_key_does_not_tell_it(model: ModelServer) -> None:
    model.status, model.error = 400, json.dumps({"error": {"message": f"bad request with {KEY}"}}).encode()
    async with inside(model) as agent:
        heard = await agent.chat()
    assert heard.status == 400
    assert b"bad request with [key]" in heard.body


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_the_operators_matter(model: ModelServer, status: int) -> None:
    model.status, model.error = status, b'{"error": {"message": "Incorrect API key provided: sk-ca***inside"}}'
    async with inside(model) as agent:
        heard = await agent.chat()
        assert agent.relay.problem == "The model's server does not let this service in; its operator must look at it."
    assert heard.status == 502
    assert b"sk-ca" not in heard.body


async def test_a_redirect_is_not_followed(model: ModelServer) -> None:
    model.location = f"{model.url}/elsewhere"
    async with inside(model) as agent:
        heard = await agent.chat()
    assert heard.status == 502
    assert model.paths == ["POST /v1/chat/completions"]


async def test_a_server_that_is_not_there_is_said(model: ModelServer) -> None:
    model.url = "http://127.0.0.1:1/v1"
    async with inside(model) as agent:
        heard = await agent.chat()
        assert agent.relay.problem == "The model's server cannot be reached."
    assert (heard.status, b"cannot be reached" in heard.body) == (502, True)


async def test_an_answer_that_breaks_off_is_not_made_whole(model: ModelServer) -> None:
    model.breaks = True
    async with inside(model) as agent:
        heard = await agent.chat()
    assert (heard.status, heard.whole) == (200, False)


async def test_a_client_that_goes_takes_its_request_along(model: ModelServer) -> None:
    model.hangs = True
    async with inside(model) as agent:
        await agent.send(*CHAT, b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}')
        assert (await agent.frame())[0] == HEAD
        await agent.cancel()
        await model.left.wait()


async def test_the_end_of_a_run_takes_its_requests_along(model: ModelServer) -> None:
    model.hangs = True
    async with inside(model) as agent:
        await agent.send(*CHAT, b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}')
        assert (await agent.frame())[0] == HEAD
    await model.left.wait()


async def test_the_number_of_requests_is_bounded(model: ModelServer) -> None:
    async with inside(model, RelayLimits(requests=2)) as agent:
        statuses = [(await agent.chat()).status for _ in range(4)]
        assert agent.relay.problem
    assert statuses == [200, 200, 403, 403]
    assert len(model.requests) == 2


async def test_the_number_at_once_is_bounded(model: ModelServer) -> None:
    model.hangs = True
    async with inside(model, RelayLimits(at_once=2)) as agent:
        for _ in range(2):
            await agent.send(*CHAT, b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}')
            assert (await agent.frame())[0] == HEAD
        assert (await agent.chat()).status == 429
    assert len(model.requests) == 2


async def test_what_is_sent_is_bounded_in_sum(model: ModelServer) -> None:
    async with inside(model, RelayLimits(sent_bytes=3000)) as agent:
        statuses = [(await agent.chat(stop="x" * 1000)).status for _ in range(4)]
    assert statuses == [200, 200, 403, 403]


async def test_what_comes_back_is_bounded_in_sum(model: ModelServer) -> None:
    model.script = [Say("x" * 50_000)]
    async with inside(model, RelayLimits(received_bytes=120_000)) as agent:
        answers = [await agent.chat() for _ in range(4)]
    assert [(answer.status, answer.whole) for answer in answers] == [
        (200, True),
        (200, True),
        (200, False),
        (403, True),
    ]


async def test_a_frame_that_is_too_long_ends_the_relay_before_it_is_read(model: ModelServer) -> None:
    async with inside(model, RelayLimits(request_bytes=1000)) as agent:
        await agent.raw(REQUEST, 1, b"", length=1 << 31)
        assert await agent.reader.read() == b""
        await agent.serving
    assert model.paths == []


@pytest.mark.parametrize(
    ("kind", "content"),
    [(0, b""), (255, b"x"), (HEAD, b"200\0text/html"), (DATA, b"x"), (REQUEST, b"POST /v1"), (2, b"x")],
)
async def test_a_frame_of_no_use_ends_the_relay(model: ModelServer, kind: int, content: bytes) -> None:
    async with inside(model) as agent:
        await agent.raw(kind, 1, content)
        assert await agent.reader.read() == b""
        await agent.serving


async def test_a_number_that_is_taken_ends_the_relay(model: ModelServer) -> None:
    model.hangs = True
    async with inside(model) as agent:
        for _ in range(2):
            await agent.send(*CHAT, b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}', exchange=7)
        await agent.serving
    assert len(model.requests) <= 1


@pytest.mark.parametrize("seed", range(20))
async def test_garbage_ends_the_relay_and_nothing_else(model: ModelServer, seed: int) -> None:
    async with inside(model) as agent:
        agent.writer.write(random.Random(seed).randbytes(20_000))
        agent.writer.write_eof()
        await agent.serving  # it raises nothing
    assert model.paths == []


async def test_a_channel_that_closes_in_the_middle_ends_the_relay(model: ModelServer) -> None:
    async with inside(model) as agent:
        await agent.raw(REQUEST, 1, b"POST\0/v1/chat", length=500)
        agent.writer.close()
        await agent.serving


async def test_who_does_not_read_is_not_read_from(model: ModelServer) -> None:
    """Refusals are not piled up for a client that sends and never reads."""
    async with inside(model) as agent:

        async def flood() -> None:
            while True:
                await agent.send("GET", "/nothing", b"x" * 1000)

        flooding = asyncio.create_task(flood())
        await asyncio.sleep(0)
        before = -1
        while agent.last != before:  # until the sender is stopped by a full channel
            before = agent.last
            await asyncio.sleep(0.2)
        assert not flooding.done()
        assert agent.last < 5000
        flooding.cancel()
        await asyncio.wait({flooding})
