import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from main_api.backends.litellm_backend import LitellmBackend
from main_api.backends.openai_wire_errors import ProviderRefusedKey
from main_api.backends.protocol import ModelRequest
from main_api.events import ChoiceFinished, ModelEvent, ReasoningDelta, TextDelta, ToolCallDelta, UsageReported
from shared.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    RateLimited,
    TwinportError,
    Unavailable,
    UpstreamFailed,
)
from tests.main_api.backends.cloud_server import CloudServer, anthropic, anthropic_answer, gemini, text_block

pytestmark = [
    pytest.mark.slow,  # importing litellm takes seconds
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

KEY = "sk-ant-canary-0123456789abcdef"
HELLO = ({"role": "user", "content": "Hello"},)
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture
async def server() -> AsyncGenerator[CloudServer]:
    async with CloudServer().running() as running:
        yield running


@pytest.fixture
def claude(server: CloudServer) -> LitellmBackend:
    return LitellmBackend(name="anthropic", api_key=KEY, api_base=server.url, silence_timeout_s=2.0)


@pytest.fixture
def google(server: CloudServer) -> LitellmBackend:
    return LitellmBackend(name="google", api_key=KEY, api_base=server.url, silence_timeout_s=2.0)


def turn(model: str = "claude-haiku-4-5", messages: Any = HELLO, **options: Any) -> ModelRequest:
    return ModelRequest(model=model, messages=messages, options=options)


async def collect(
    backend: LitellmBackend, request: ModelRequest, into: list[ModelEvent] | None = None
) -> list[ModelEvent]:
    events: list[ModelEvent] = [] if into is None else into
    async for event in backend.stream(request):
        events.append(event)
    return events


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_claude_answers(claude: LitellmBackend, server: CloudServer) -> None:
    server.script = anthropic_answer(text_block("Hel", "lo"))
    events = await collect(claude, turn(temperature=0.5, max_tokens=50, stop=["END"]))
    path, headers, body = server.requests[0]
    assert text_of(events) == "Hello"
    assert [event for event in events if isinstance(event, ChoiceFinished)] == [ChoiceFinished("stop")]
    usage = next(event.usage for event in events if isinstance(event, UsageReported))
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (11, 5, 2)
    assert (path, headers["x-api-key"]) == ("/v1/messages", KEY)
    assert (body["temperature"], body["max_tokens"], body["stop_sequences"]) == (0.5, 50, ["END"])


async def test_claude_calls_tools(claude: LitellmBackend, server: CloudServer) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    pieces = [{"type": "input_json_delta", "partial_json": text} for text in ("", '{"city": ', '"Oslo"}')]
    server.script = anthropic_answer(text_block("Let me see."), (use, pieces), stop="tool_use")
    events = await collect(claude, turn(tools=[WEATHER], tool_choice="auto"))
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert (calls[0].id, calls[0].name) == ("toolu_1", "weather")
    assert "".join(call.arguments for call in calls) == '{"city": "Oslo"}'
    assert ChoiceFinished("tool_calls") in events
    assert server.requests[0][2]["tools"][0]["name"] == "weather"


async def test_a_tool_result_goes_back_to_claude(claude: LitellmBackend, server: CloudServer) -> None:
    call = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    messages = (
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "12 degrees"},
    )
    server.script = anthropic_answer(text_block("12"))
    await collect(claude, turn(messages=messages, tools=[WEATHER]))
    sent = server.requests[0][2]["messages"]
    assert sent[1]["content"][-1]["input"] == {"city": "Oslo"}
    assert sent[2]["content"][0]["tool_use_id"] == "toolu_1"


async def test_claudes_thinking_is_kept_apart(claude: LitellmBackend, server: CloudServer) -> None:
    thinking = ({"type": "thinking", "thinking": ""}, [{"type": "thinking_delta", "thinking": "Hm."}])
    server.script = anthropic_answer(thinking, text_block("Yes"))
    events = await collect(claude, turn(reasoning_effort="low"))
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "Hm."
    assert text_of(events) == "Yes"


async def test_max_tokens_is_finish_reason_length(claude: LitellmBackend, server: CloudServer) -> None:
    server.script = anthropic_answer(text_block("Once"), stop="max_tokens")
    assert ChoiceFinished("length") in await collect(claude, turn())


async def test_gemini_answers(google: LitellmBackend, server: CloudServer) -> None:
    server.script = [gemini({"text": "Hel"}), gemini({"text": "lo"}, finish="STOP")]
    events = await collect(google, turn("gemini-2.5-flash", temperature=0.5))
    path, headers, body = server.requests[0]
    assert text_of(events) == "Hello"
    assert [event for event in events if isinstance(event, ChoiceFinished)] == [ChoiceFinished("stop")]
    usage = next(event.usage for event in events if isinstance(event, UsageReported))
    assert (usage.prompt_tokens, usage.completion_tokens) == (9, 5)
    assert "/models/gemini-2.5-flash:streamGenerateContent" in path
    assert KEY not in path
    assert headers["x-goog-api-key"] == KEY
    assert body["generationConfig"]["temperature"] == 0.5


async def test_gemini_calls_tools(google: LitellmBackend, server: CloudServer) -> None:
    server.script = [gemini({"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}, finish="STOP")]
    events = await collect(google, turn("gemini-2.5-flash", tools=[WEATHER]))
    (call,) = [event for event in events if isinstance(event, ToolCallDelta)]
    assert (call.name, call.arguments.replace(" ", "")) == ("weather", '{"city":"Oslo"}')
    assert ChoiceFinished("tool_calls") in events


def _anthropic_error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


@pytest.mark.parametrize(
    ("refusal", "error", "match"),
    [
        ((400, "invalid_request_error"), InvalidRequest, "temperature"),
        ((401, "authentication_error"), ProviderRefusedKey, "anthropic refuses the key"),
        ((403, "permission_error"), ProviderRefusedKey, "anthropic refuses the key"),
        ((404, "not_found_error"), NotFound, "temperature"),
        ((429, "rate_limit_error"), RateLimited, "later"),
        ((500, "api_error"), UpstreamFailed, "500"),
        ((503, "api_error"), Unavailable, "overloaded"),
        ((529, "overloaded_error"), Unavailable, "overloaded"),
    ],
)
async def test_each_refusal_of_claude_is_translated_and_shows_no_key(
    claude: LitellmBackend, server: CloudServer, refusal: tuple[int, str], error: type[TwinportError], match: str
) -> None:
    status, kind = refusal
    server.status, server.headers = status, {"retry-after": "7"}
    server.body = _anthropic_error(kind, f"temperature is wrong for {KEY}")
    with pytest.raises(error, match=match) as raised:
        await collect(claude, turn())
    assert "canary" not in raised.value.message
    assert len(server.requests) == 1
    assert raised.value.retry_after == (7 if status in {429, 503, 529} else None)


@pytest.mark.parametrize(
    ("status", "word", "error"),
    [
        (400, "INVALID_ARGUMENT", InvalidRequest),
        (403, "PERMISSION_DENIED", ProviderRefusedKey),
        (404, "NOT_FOUND", NotFound),
        (429, "RESOURCE_EXHAUSTED", RateLimited),
        (500, "INTERNAL", UpstreamFailed),
        (503, "UNAVAILABLE", Unavailable),
    ],
)
async def test_each_refusal_of_gemini_is_translated(
    google: LitellmBackend, server: CloudServer, status: int, word: str, error: type[TwinportError]
) -> None:
    server.status = status
    server.body = {"error": {"code": status, "message": f"bad {KEY}", "status": word}}
    with pytest.raises(error) as raised:
        await collect(google, turn("gemini-2.5-flash"))
    assert "canary" not in raised.value.message
    assert len(server.requests) == 1


async def test_an_error_inside_claudes_stream_is_raised_after_what_came_before(
    claude: LitellmBackend, server: CloudServer
) -> None:
    whole = anthropic_answer(text_block("Half"))
    server.script = [*whole[:4], anthropic("error", error={"type": "overloaded_error", "message": "Overloaded"})]
    seen: list[ModelEvent] = []
    with pytest.raises((Unavailable, UpstreamFailed)):
        await collect(claude, turn(), into=seen)
    assert text_of(seen) == "Half"


async def test_a_truncated_stream_is_an_upstream_failure(claude: LitellmBackend, server: CloudServer) -> None:
    server.script = anthropic_answer(text_block("Half"))[:4]
    seen: list[ModelEvent] = []
    with pytest.raises(UpstreamFailed):
        await collect(claude, turn(), into=seen)
    assert text_of(seen) == "Half"


async def test_a_reset_stream_of_gemini_is_an_upstream_failure(google: LitellmBackend, server: CloudServer) -> None:
    server.script, server.cut = [gemini({"text": "Half"}), 0.05], True
    seen: list[ModelEvent] = []
    with pytest.raises(UpstreamFailed):
        await collect(google, turn("gemini-2.5-flash"), into=seen)
    assert text_of(seen) == "Half"


async def test_silence_becomes_deadline_exceeded(claude: LitellmBackend, server: CloudServer) -> None:
    server.script = [30.0]
    with pytest.raises(DeadlineExceeded):
        await collect(claude, turn())


async def test_a_provider_that_cannot_be_reached_is_unavailable() -> None:
    backend = LitellmBackend(name="anthropic", api_key=KEY, api_base="http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await collect(backend, turn())


async def test_leaving_early_closes_the_connection(claude: LitellmBackend, server: CloudServer) -> None:
    server.script = [*anthropic_answer(text_block("One"))[:4], *([0.02, anthropic("ping")] * 200)]
    async with aclosing(claude.stream(turn())) as events:
        assert await anext(events) == TextDelta("One")
    async with asyncio.timeout(30):
        await server.aborted.wait()


async def test_a_cancelled_request_closes_the_connection(claude: LitellmBackend, server: CloudServer) -> None:
    server.script = [0.02, *([anthropic("ping"), 0.02] * 200)]
    task = asyncio.create_task(collect(claude, turn()))
    while not server.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(30):
        await server.aborted.wait()


async def test_the_messages_of_the_caller_are_not_changed(google: LitellmBackend, server: CloudServer) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    server.script = [gemini({"text": "Hi"}, finish="STOP")]
    await collect(google, turn("gemini-2.5-flash", messages=messages))
    assert messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


async def test_models_are_listed_without_asking_anyone(claude: LitellmBackend, google: LitellmBackend) -> None:
    claudes = {model.id: model for model in await claude.models()}
    assert claudes["anthropic/claude-haiku-4-5"].capabilities.tool_mode == "native"
    assert not claudes["anthropic/claude-haiku-4-5"].capabilities.multiple_choices
    assert "google/gemini-2.5-flash" in {model.id for model in await google.models()}
    assert (await claude.capabilities("claude-from-tomorrow")).tool_mode == "native"


def test_listing_models_does_not_import_litellm() -> None:
    script = (
        "import asyncio, sys\n"
        "from main_api.backends.litellm_backend import LitellmBackend\n"
        "backend = LitellmBackend(name='anthropic', api_key='k')\n"
        "assert asyncio.run(backend.models())\n"
        "assert asyncio.run(backend.capabilities('x'))\n"
        "assert 'litellm' not in sys.modules and 'openai' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
