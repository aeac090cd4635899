"""A real server in the place of the upstream: its faults become our errors, and hanging up reaches it at once."""

import asyncio
import random
import socket

import aiohttp
import pytest
from aiohttp import web

from main_api.backends.openai_compatible import OpenAICompatibleBackend, OpenAICompatibleOptions
from main_api.backends.openai_wire_errors import ProviderRefusedKey
from main_api.backends.protocol import Backend, Capabilities, ModelRequest, RelayBackend
from main_api.events import ChoiceFinished, ModelEvent, TextDelta
from shared.errors import DeadlineExceeded, InvalidRequest, NotFound, RateLimited, Unavailable, UpstreamFailed

from .conftest import Upstream, reset_connection
from .test_openai_wire import delta, sse

REQUEST = ModelRequest(model="m1", messages=[{"role": "user", "content": "Hi"}], options={"temperature": 0})
HELLO = sse(delta(content="Hel"), delta(content="lo"), delta("stop"))
PLAIN = b'{"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}'


async def collect(backend: Backend) -> list[ModelEvent]:
    return [event async for event in backend.stream(REQUEST)]


async def relayed(backend: RelayBackend, *, stream: bool) -> bytes:
    async with backend.relay("m1", {"messages": [], "stream": stream}) as answer:
        return b"".join([piece async for piece in answer.chunks()])


async def test_streams_events(backend: OpenAICompatibleBackend, upstream: Upstream) -> None:
    upstream.answers(HELLO)
    assert await collect(backend) == [TextDelta("Hello"), ChoiceFinished("stop")]


async def test_sends_options_key_and_asks_for_usage(backend: OpenAICompatibleBackend, upstream: Upstream) -> None:
    upstream.answers(HELLO)
    await collect(backend)
    assert upstream.bodies[0] == {
        "model": "m1",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert upstream.headers[0]["Authorization"] == "Bearer configured-key"


async def test_an_upstream_that_does_not_stream(backend: OpenAICompatibleBackend, upstream: Upstream) -> None:
    upstream.answers(PLAIN, content_type="application/json")
    assert await collect(backend) == [TextDelta("Hello"), ChoiceFinished("stop")]


async def test_connection_is_used_again_after_a_whole_answer(
    backend: OpenAICompatibleBackend, upstream: Upstream
) -> None:
    ports: list[int] = []

    async def chat(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        return web.Response(body=HELLO, headers={"Content-Type": "text/event-stream"})

    upstream.chat = chat
    await collect(backend)
    await collect(backend)
    assert ports[0] == ports[1]


async def test_refused_connection_is_unavailable(session: aiohttp.ClientSession) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        backend = OpenAICompatibleBackend(
            name="gone", base_url=f"http://127.0.0.1:{closed.getsockname()[1]}/v1", session=session
        )
        with pytest.raises(Unavailable, match="cannot be reached"):
            await collect(backend)


async def test_reset_in_the_middle_keeps_the_text_and_fails(
    backend: OpenAICompatibleBackend, upstream: Upstream
) -> None:
    upstream.dribbles(sse(delta(content="Hel"), done=False), pause_s=0.05, then=reset_connection)
    events = backend.stream(REQUEST)
    assert await anext(events) == TextDelta("Hel")
    with pytest.raises(UpstreamFailed):
        await anext(events)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", UpstreamFailed),
        (b"data: {oops}\n\n", UpstreamFailed),
        (b'data: {"choices": [{"delta": {"con', UpstreamFailed),
        (b'data: {"choices": [{"delta": {"content": "\xe2\x28"}}]}\n\n', UpstreamFailed),
        (b'data: {"error": {"message": "no", "code": 429}}\n\n', RateLimited),
        (sse(done=True), UpstreamFailed),
    ],
)
async def test_bad_streams(
    backend: OpenAICompatibleBackend, upstream: Upstream, body: bytes, expected: type[Exception]
) -> None:
    upstream.answers(body)
    with pytest.raises(expected):
        await collect(backend)
    with pytest.raises(expected):
        await relayed(backend, stream=True)


async def test_multibyte_characters_cut_by_the_network(backend: OpenAICompatibleBackend, upstream: Upstream) -> None:
    whole = sse(delta(content="Zürich 서울"), delta("stop"))
    cut = whole.index("서".encode()) + 1
    upstream.dribbles(whole[:cut], whole[cut:], pause_s=0.02)
    assert await collect(backend) == [TextDelta("Zürich 서울"), ChoiceFinished("stop")]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (307, UpstreamFailed),
        (400, InvalidRequest),
        (401, ProviderRefusedKey),
        (404, NotFound),
        (500, UpstreamFailed),
    ],
)
async def test_statuses_are_raised_by_stream_and_relay(
    backend: OpenAICompatibleBackend, upstream: Upstream, status: int, expected: type[Exception], stream: bool
) -> None:
    upstream.answers(b'{"error": {"message": "words"}}', status=status, Location="http://127.0.0.1:1/")
    with pytest.raises(expected):
        await collect(backend)
    with pytest.raises(expected):
        await relayed(backend, stream=stream)


async def test_rate_limit_carries_retry_after(backend: OpenAICompatibleBackend, upstream: Upstream) -> None:
    upstream.answers(b"{}", status=429, Retry_After="7")
    with pytest.raises(RateLimited) as caught:
        await collect(backend)
    assert caught.value.retry_after == 7


async def test_an_endless_error_body_is_cut(backend: OpenAICompatibleBackend, upstream: Upstream) -> None:
    upstream.answers(b"x" * 5_000_000, status=500)
    with pytest.raises(UpstreamFailed, match="status 500"):
        await collect(backend)


@pytest.mark.parametrize("first", [b"", sse(delta(content="x"), done=False)])
async def test_silence_ends_in_a_deadline(backend: OpenAICompatibleBackend, upstream: Upstream, first: bytes) -> None:
    upstream.dribbles(first or b": hello\n\n", pause_s=3600)
    async with asyncio.timeout(30):
        with pytest.raises(DeadlineExceeded):
            await collect(backend)


async def test_closing_the_iterator_reaches_the_upstream_within_a_second(
    backend: OpenAICompatibleBackend, upstream: Upstream
) -> None:
    upstream.dribbles(*[sse(delta(content="x"), done=False)] * 100, pause_s=0.2)
    events = backend.stream(REQUEST)
    assert await anext(events) == TextDelta("x")
    await events.aclose()  # pyright: ignore[reportAttributeAccessIssue]
    await asyncio.wait_for(upstream.aborted.wait(), 30)


async def test_leaving_the_relay_reaches_the_upstream_within_a_second(
    backend: OpenAICompatibleBackend, upstream: Upstream
) -> None:
    upstream.dribbles(*[sse(delta(content="x"), done=False)] * 100, pause_s=0.2)
    async with backend.relay("m1", {"messages": [], "stream": True}) as answer:
        assert b'"content":"x"' in await anext(aiter(answer.chunks()))
    await asyncio.wait_for(upstream.aborted.wait(), 30)


async def test_cancelling_before_the_first_byte_reaches_the_upstream(
    backend: OpenAICompatibleBackend, upstream: Upstream
) -> None:
    started = asyncio.Event()

    async def chat(_request: web.Request) -> web.Response:
        started.set()
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            upstream.aborted.set()
            raise
        return web.Response()

    upstream.chat = chat
    task = asyncio.create_task(collect(backend))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(upstream.aborted.wait(), 30)


async def test_two_hundred_hang_ups_leave_nothing_behind(upstream: Upstream, session: aiohttp.ClientSession) -> None:
    patient = OpenAICompatibleOptions(silence_timeout_s=60, connect_timeout_s=60)
    backend = OpenAICompatibleBackend(
        name="acme", base_url=upstream.base_url, api_key="configured-key", session=session, options=patient
    )
    upstream.dribbles(*[sse(delta(content="x"), done=False)] * 100, pause_s=3600)

    async def hang_up() -> None:
        events = backend.stream(REQUEST)
        await anext(events)
        await events.aclose()  # pyright: ignore[reportAttributeAccessIssue]

    before = len(asyncio.all_tasks())
    await asyncio.gather(*(hang_up() for _ in range(200)))
    async with asyncio.timeout(30):
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.02)
    assert session.connector is not None
    assert not session.connector._acquired  # aiohttp has no public view of its pool


async def test_relay_hands_over_the_same_bytes(backend: OpenAICompatibleBackend, upstream: Upstream) -> None:
    upstream.answers(HELLO)
    assert await relayed(backend, stream=True) == HELLO
    upstream.answers(PLAIN, content_type="application/json")
    assert await relayed(backend, stream=False) == PLAIN
    assert upstream.bodies[0]["model"] == "m1"


async def test_relay_adds_the_last_word_that_an_upstream_forgot(
    backend: OpenAICompatibleBackend, upstream: Upstream
) -> None:
    upstream.answers(sse(delta("stop", content="x"), done=False))
    assert (await relayed(backend, stream=True)).endswith(b"data: [DONE]\n\n")


async def test_relay_of_a_stream_that_breaks_off_fails_after_its_bytes(
    backend: OpenAICompatibleBackend, upstream: Upstream
) -> None:
    part = sse(delta(content="x"), done=False)
    upstream.answers(part)
    async with backend.relay("m1", {"stream": True}) as answer:
        pieces = aiter(answer.chunks())
        assert await anext(pieces) == part
        with pytest.raises(UpstreamFailed):
            await anext(pieces)


@pytest.mark.parametrize("body", [b"", b'{"choices": [{"mess', b"<html></html>", b'{"error": {"message": "no"}}'])
async def test_relay_of_a_plain_answer_that_is_none_fails_before_the_first_byte(
    backend: OpenAICompatibleBackend, upstream: Upstream, body: bytes
) -> None:
    upstream.answers(body, content_type="application/json")
    with pytest.raises(UpstreamFailed):
        async with backend.relay("m1", {}):
            pytest.fail("the context was entered")


async def test_relay_waits_through_comments_for_the_first_event(
    backend: OpenAICompatibleBackend, upstream: Upstream
) -> None:
    upstream.dribbles(b": OPENROUTER PROCESSING\n\n", b'data: {"error": {"code": 429}}\n\n', pause_s=0.02)
    with pytest.raises(RateLimited):
        await relayed(backend, stream=True)


async def test_a_request_that_json_cannot_carry_is_the_callers_fault(
    backend: OpenAICompatibleBackend, upstream: Upstream
) -> None:
    upstream.answers(HELLO)
    nested: dict[str, object] = {}
    for _ in range(500):
        nested = {"a": nested}
    with pytest.raises(InvalidRequest):
        async with backend.relay("m1", {"messages": [], "extra": nested}):
            pytest.fail("the context was entered")


async def test_many_callers_list_models_with_one_request(backend: OpenAICompatibleBackend, upstream: Upstream) -> None:
    calls = 0

    async def models(_request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.05)
        return web.json_response({"data": [{"id": "m1", "created": 5, "owned_by": "acme", "context_length": 4096}]})

    upstream.models = models
    lists = await asyncio.gather(*(backend.models() for _ in range(20)))
    await backend.models()
    assert calls == 1
    assert lists[0][0].id == "acme/m1"
    assert (await backend.capabilities("m1")).context_length == 4096


async def test_a_list_that_cannot_be_read_is_an_upstream_error(
    backend: OpenAICompatibleBackend, upstream: Upstream
) -> None:
    async def models(_request: web.Request) -> web.Response:
        return web.json_response({"data": "none"})

    upstream.models = models
    with pytest.raises(UpstreamFailed):
        await backend.models()


async def test_configured_capabilities_win(session: aiohttp.ClientSession) -> None:
    text_only = Capabilities(tool_mode="text")
    backend = OpenAICompatibleBackend(
        name="acme",
        base_url="http://127.0.0.1:1/v1",
        session=session,
        options=OpenAICompatibleOptions(models={"old": text_only}),
    )
    assert await backend.capabilities("old") is text_only
    assert (await backend.capabilities("new")).tool_mode == "native"


async def test_cancelled_requests_never_leave_an_answer_for_somebody_else(
    backend: OpenAICompatibleBackend, upstream: Upstream
) -> None:
    """Fifty callers at a time, half of whom hang up at a random moment; every answer belongs to who asked."""

    async def echo(request: web.Request) -> web.StreamResponse:
        canary: str = (await request.json())["messages"][0]["content"]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for letter in canary:
            await response.write(sse(delta(content=letter), done=False))
            await asyncio.sleep(random.random() * 0.004)
        await response.write(sse(delta("stop")))
        return response

    upstream.chat = echo

    async def ask(number: int) -> str:
        request = ModelRequest(model="m1", messages=[{"role": "user", "content": f"<{number}>"}])
        return "".join([event.text async for event in backend.stream(request) if isinstance(event, TextDelta)])

    for start in range(0, 300, 50):
        tasks = {number: asyncio.create_task(ask(number)) for number in range(start, start + 50)}
        for number, task in tasks.items():
            if number % 2:
                await asyncio.sleep(random.random() * 0.001)
                task.cancel()
        await asyncio.wait(tasks.values())
        assert all(task.result() == f"<{number}>" for number, task in tasks.items() if not task.cancelled())
        assert sum(not task.cancelled() for task in tasks.values()) >= 25


async def test_a_slow_reader_holds_the_upstream_back(backend: OpenAICompatibleBackend, upstream: Upstream) -> None:
    written = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        piece = sse(delta(content="x" * 60_000), done=False)
        for _ in range(1_000):
            await response.write(piece)
            written += len(piece)
        return response

    upstream.chat = flood
    events = backend.stream(REQUEST)
    await anext(events)
    before = -1
    while before != written:  # until the upstream is stuck
        before = written
        await asyncio.sleep(0.1)
    await events.aclose()  # pyright: ignore[reportAttributeAccessIssue]
    assert written < 20_000_000  # of 60 MB; the rest is the kernel's buffers
