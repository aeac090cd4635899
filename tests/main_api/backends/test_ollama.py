import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import aiohttp
import orjson
import pytest

from main_api.backends.errors import ModelNotFound
from main_api.backends.ollama import OllamaBackend, PullProgress
from main_api.backends.protocol import ModelRequest
from main_api.events import (
    ChoiceFinished,
    ModelEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from shared.errors import (
    DeadlineExceeded,
    InvalidRequest,
    PayloadTooLarge,
    RateLimited,
    TwinportError,
    Unavailable,
    UpstreamFailed,
)
from shared.http_client import create_http_session
from tests.main_api.backends.ollama_server import OllamaServer, end, line, text

HELLO = ({"role": "user", "content": "Hello"},)
WEATHER_TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
async def server() -> AsyncGenerator[OllamaServer]:
    async with OllamaServer().running() as running:
        yield running


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    async with create_http_session(read_timeout_s=0.5) as opened:
        yield opened


@pytest.fixture
def backend(server: OllamaServer, session: aiohttp.ClientSession) -> OllamaBackend:
    return OllamaBackend(base_url=server.url, session=session, num_ctx=4096, keep_alive="10m")


def turn(*messages: dict[str, Any], model: str = "qwen2.5:14b", **options: Any) -> ModelRequest:
    return ModelRequest(model=model, messages=messages or HELLO, options=options)


async def collect(
    backend: OllamaBackend, request: ModelRequest, into: list[ModelEvent] | None = None
) -> list[ModelEvent]:
    events: list[ModelEvent] = [] if into is None else into
    async for event in backend.stream(request):
        events.append(event)
    return events


async def test_a_text_answer_streams_and_ends_with_usage(backend: OllamaBackend) -> None:
    events = await collect(backend, turn())
    assert events == [
        TextDelta("Hello"),
        TextDelta(" there"),
        ChoiceFinished("stop"),
        UsageReported(Usage(prompt_tokens=11, completion_tokens=7), model="qwen2.5:14b"),
    ]


async def test_num_ctx_and_keep_alive_are_always_explicit(backend: OllamaBackend, server: OllamaServer) -> None:
    await collect(backend, turn())
    assert server.chat_body["options"] == {"num_ctx": 4096}
    assert server.chat_body["keep_alive"] == "10m"
    assert server.chat_body["stream"] is True
    assert "think" not in server.chat_body
    assert "format" not in server.chat_body


async def test_keep_alive_in_bare_seconds_goes_as_a_number(
    server: OllamaServer, session: aiohttp.ClientSession
) -> None:
    backend = OllamaBackend(base_url=server.url, session=session, keep_alive="-1")
    await collect(backend, turn())
    assert server.chat_body["keep_alive"] == -1


async def test_sampling_options_get_ollama_names(backend: OllamaBackend, server: OllamaServer) -> None:
    sampling = {"temperature": 0.0, "top_p": 0.9, "seed": 7, "frequency_penalty": 0.5, "presence_penalty": 0.25}
    await collect(backend, turn(**sampling, stop="END", max_tokens=9, max_completion_tokens=5, user="someone"))
    assert server.chat_body["options"] == sampling | {"num_ctx": 4096, "num_predict": 5, "stop": ["END"]}


@pytest.mark.parametrize(
    ("response_format", "expected"),
    [
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}, {"type": "object"}),
        ({"type": "text"}, None),
    ],
)
async def test_response_format_becomes_format(
    backend: OllamaBackend, server: OllamaServer, response_format: Any, expected: Any
) -> None:
    await collect(backend, turn(response_format=response_format))
    assert server.chat_body.get("format") == expected


async def test_a_conversation_with_tool_calls_is_translated(backend: OllamaBackend, server: OllamaServer) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    await collect(
        backend,
        turn(
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "Ask the tool."},
            {"role": "tool", "tool_call_id": "call_1", "content": "12 degrees"},
            tools=[WEATHER_TOOL],
        ),
    )
    assert server.chat_body["tools"] == [WEATHER_TOOL]
    assert server.chat_body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "",
            "thinking": "Ask the tool.",
            "tool_calls": [{"id": "call_1", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}],
        },
        {"role": "tool", "content": "12 degrees", "tool_name": "weather", "tool_call_id": "call_1"},
    ]


async def test_arguments_that_a_model_wrote_wrongly_stay_readable(backend: OllamaBackend, server: OllamaServer) -> None:
    call = {"id": "c", "function": {"name": "weather", "arguments": "{city"}}
    await collect(backend, turn({"role": "assistant", "tool_calls": [call]}))
    sent = server.chat_body["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert sent == {"arguments": "{city"}


async def test_parts_become_text_and_images(backend: OllamaBackend, server: OllamaServer) -> None:
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "text", "text": "this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}},
    ]
    await collect(backend, turn({"role": "user", "content": parts}, model="gemma3:4b"))
    assert server.chat_body["messages"] == [{"role": "user", "content": "What is\nthis?", "images": ["aGVsbG8="]}]


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"n": 2}, "n"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"tool_choice": "required", "tools": [WEATHER_TOOL]}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "weather"}}}, "tool_choice"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
    ],
)
async def test_what_ollama_lacks_is_refused_by_name_before_anything_is_sent(
    backend: OllamaBackend, server: OllamaServer, options: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await collect(backend, turn(**options))
    assert raised.value.param == param
    assert "/api/chat" not in server.paths()


@pytest.mark.parametrize(
    "part", [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, {"type": "input_audio"}]
)
async def test_parts_that_ollama_cannot_take_are_refused(backend: OllamaBackend, part: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await collect(backend, turn({"role": "user", "content": [part]}))
    assert raised.value.param == "messages"


async def test_tool_choice_none_sends_no_tools(backend: OllamaBackend, server: OllamaServer) -> None:
    await collect(backend, turn(tools=[WEATHER_TOOL], tool_choice="none"))
    assert "tools" not in server.chat_body


def _calls(*names: str) -> bytes:
    calls = [{"function": {"index": 0, "name": name, "arguments": {"city": "Zürich"}}} for name in names]
    return line(message={"role": "assistant", "content": "", "tool_calls": calls})


async def test_parallel_tool_calls_come_back_as_deltas(backend: OllamaBackend, server: OllamaServer) -> None:
    server.script = [_calls("weather", "time"), end()]
    events = await collect(backend, turn(tools=[WEATHER_TOOL]))
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert [(call.index, call.name, call.arguments) for call in calls] == [
        (0, "weather", '{"city":"Zürich"}'),
        (1, "time", '{"city":"Zürich"}'),
    ]
    assert len({call.id for call in calls}) == 2
    assert ChoiceFinished("tool_calls") in events


async def test_parallel_tool_calls_false_passes_on_one_call(backend: OllamaBackend, server: OllamaServer) -> None:
    server.script = [_calls("weather", "time"), end()]
    events = await collect(backend, turn(tools=[WEATHER_TOOL], parallel_tool_calls=False))
    assert [event.name for event in events if isinstance(event, ToolCallDelta)] == ["weather"]


async def test_thinking_is_kept_apart_from_the_answer(backend: OllamaBackend, server: OllamaServer) -> None:
    server.script = [line(message={"role": "assistant", "content": "", "thinking": "Hm."}), text("Yes"), end()]
    events = await collect(backend, turn(model="qwen3:4b"))
    assert events[:2] == [ReasoningDelta("Hm."), TextDelta("Yes")]
    assert server.chat_body["think"] is True


@pytest.mark.parametrize(
    ("model", "effort", "think"),
    [
        ("qwen3:4b", "none", False),
        ("qwen3:4b", "high", True),
        ("gpt-oss:20b", "high", "high"),
        ("gpt-oss:20b", None, "medium"),
        ("qwen2.5:14b", "high", None),
    ],
)
async def test_reasoning_effort_becomes_think_as_the_model_understands_it(
    backend: OllamaBackend, server: OllamaServer, model: str, effort: str | None, think: Any
) -> None:
    await collect(backend, turn(model=model, reasoning_effort=effort))
    assert server.chat_body.get("think") == think


async def test_done_reason_length_is_finish_reason_length(backend: OllamaBackend, server: OllamaServer) -> None:
    server.script = [text("Once"), end("length")]
    assert ChoiceFinished("length") in await collect(backend, turn())


async def test_logprobs_come_in_openai_shape(backend: OllamaBackend, server: OllamaServer) -> None:
    alternatives = [{"token": "Hé", "logprob": -0.1}, {"token": "Yo", "logprob": -3.0, "bytes": [89, 111]}]
    server.script = [text("Hé", logprobs=[{"token": "Hé", "logprob": -0.1, "top_logprobs": alternatives}]), end()]
    events = await collect(backend, turn(logprobs=True, top_logprobs=2))
    assert (server.chat_body["logprobs"], server.chat_body["top_logprobs"]) == (True, 2)
    first = {"token": "Hé", "logprob": -0.1, "bytes": [72, 195, 169]}
    second = {"token": "Yo", "logprob": -3.0, "bytes": [89, 111]}
    assert events[0] == TextDelta("Hé", logprobs={"content": [first | {"top_logprobs": [first, second]}]})


async def test_logprobs_of_an_old_ollama_are_refused(backend: OllamaBackend, server: OllamaServer) -> None:
    server.version = "0.9.2"
    with pytest.raises(InvalidRequest, match=r"0\.12\.11.*0\.9\.2") as raised:
        await collect(backend, turn(logprobs=True))
    assert raised.value.param == "logprobs"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
async def test_lines_split_at_any_byte_give_the_same_events(
    backend: OllamaBackend, server: OllamaServer, size: int
) -> None:
    whole = text("Grüße ") + b"\n" + text("日本語") + end().rstrip()
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    server.script = [step for piece in pieces for step in (piece, 0.0)]  # let the client read between two pieces
    events = await collect(backend, turn())
    assert events[:2] == [TextDelta("Grüße "), TextDelta("日本語")]
    assert isinstance(events[-1], UsageReported)


@pytest.mark.parametrize(
    "script",
    [[text("Half")], [text("Half"), end()[:40]], []],
    ids=["no-done", "torn-line", "empty"],
)
async def test_a_truncated_answer_is_an_upstream_failure(
    backend: OllamaBackend, server: OllamaServer, script: list[bytes | float]
) -> None:
    server.script = script
    seen: list[ModelEvent] = []
    with pytest.raises(UpstreamFailed):
        await collect(backend, turn(), into=seen)
    assert seen == [TextDelta("Half")][: len(script)]


async def test_a_reset_connection_is_an_upstream_failure(backend: OllamaBackend, server: OllamaServer) -> None:
    server.script, server.cut = [text("Half")], True
    with pytest.raises(UpstreamFailed):
        await collect(backend, turn())


async def test_an_error_inside_the_stream_is_raised_after_what_came_before(
    backend: OllamaBackend, server: OllamaServer
) -> None:
    server.script = [text("Half"), b'{"error":"an error was encountered while running the model"}\n']
    seen: list[ModelEvent] = []
    with pytest.raises(UpstreamFailed, match="an error was encountered while running the model"):
        await collect(backend, turn(), into=seen)
    assert seen == [TextDelta("Half")]


async def test_nonsense_instead_of_json_is_an_upstream_failure(backend: OllamaBackend, server: OllamaServer) -> None:
    server.script = [b"<html>proxy</html>\n"]
    with pytest.raises(UpstreamFailed, match="not JSON"):
        await collect(backend, turn())


@pytest.mark.parametrize(
    ("status", "error", "match"),
    [
        (400, InvalidRequest, "boom"),
        (401, Unavailable, "signin"),
        (403, Unavailable, "boom"),
        (404, ModelNotFound, r"ollama pull qwen2\.5:14b"),
        (413, PayloadTooLarge, "images"),
        (429, RateLimited, "later"),
        (500, UpstreamFailed, "boom"),
        (502, UpstreamFailed, "502"),
        (503, Unavailable, "overloaded"),
        (302, UpstreamFailed, "302"),
    ],
)
async def test_each_status_is_translated(
    backend: OllamaBackend, server: OllamaServer, status: int, error: type[TwinportError], match: str
) -> None:
    server.status, server.headers = status, {"retry-after": "7"}
    with pytest.raises(error, match=match) as raised:
        await collect(backend, turn())
    assert raised.value.retry_after == (7 if status in {429, 503} else None)


async def test_a_path_of_the_machine_never_reaches_the_caller(backend: OllamaBackend, server: OllamaServer) -> None:
    server.status = 500
    server.error_body = orjson.dumps({"error": "open /var/lib/ollama/blobs/sha256-1: permission denied"})
    with pytest.raises(UpstreamFailed) as raised:
        await collect(backend, turn())
    assert "/var" not in raised.value.message


async def test_an_unknown_model_says_how_to_get_it(backend: OllamaBackend) -> None:
    with pytest.raises(ModelNotFound) as raised:
        await backend.capabilities("nope:1b")
    assert raised.value.code == "model_not_found"
    assert "ollama pull nope:1b" in raised.value.message


async def test_a_server_that_is_off_says_what_to_do(session: aiohttp.ClientSession) -> None:
    backend = OllamaBackend(base_url="http://127.0.0.1:9", session=session)
    with pytest.raises(Unavailable, match="OLLAMA_BASE_URL"):
        await collect(backend, turn())


async def test_silence_becomes_deadline_exceeded(backend: OllamaBackend, server: OllamaServer) -> None:
    server.script = [5.0]
    with pytest.raises(DeadlineExceeded):
        await collect(backend, turn())


async def test_leaving_early_aborts_the_request_at_ollama(backend: OllamaBackend, server: OllamaServer) -> None:
    server.script = [text("One"), *([0.02, text("more")] * 100)]
    async with aclosing(backend.stream(turn())) as events:
        assert await anext(events) == TextDelta("One")
    async with asyncio.timeout(30):
        await server.aborted.wait()


async def test_models_are_listed_with_what_they_can(backend: OllamaBackend) -> None:
    models = {model.id: model for model in await backend.models()}
    assert set(models) == {"ollama/qwen2.5:14b", "ollama/qwen3:4b", "ollama/gpt-oss:20b", "ollama/gemma3:4b"}
    assert models["ollama/qwen3:4b"].loaded is True
    assert models["ollama/qwen2.5:14b"].loaded is False
    assert models["ollama/qwen2.5:14b"].created == 1746405464
    assert models["ollama/qwen2.5:14b"].size_bytes == 123
    assert models["ollama/gemma3:4b"].capabilities.vision
    assert models["ollama/gemma3:4b"].capabilities.tool_mode == "json_schema"
    assert models["ollama/qwen2.5:14b"].capabilities.tool_mode == "native"


async def test_context_is_the_smaller_of_model_and_num_ctx(
    server: OllamaServer, session: aiohttp.ClientSession
) -> None:
    backend = OllamaBackend(base_url=server.url, session=session, num_ctx=16384)
    assert (await backend.capabilities("qwen3:4b")).context_length == 4096
    assert (await backend.capabilities("qwen2.5:14b")).context_length == 16384


async def test_facts_are_asked_once(backend: OllamaBackend, server: OllamaServer) -> None:
    await backend.capabilities("qwen3:4b")
    await collect(backend, turn(model="qwen3:4b"))
    assert server.paths().count("/api/show") == 1


async def test_pull_reports_progress_until_success(backend: OllamaBackend, server: OllamaServer) -> None:
    server.script = [
        b'{"status":"pulling manifest"}\n',
        b'{"status":"pulling 6a0746a1ec1a","digest":"sha256:6a0746","total":10,"completed":4}\n',
        b'{"status":"success"}\n',
    ]
    steps = [step async for step in backend.pull("llama3.2")]
    assert steps == [
        PullProgress(status="pulling manifest"),
        PullProgress(status="pulling 6a0746a1ec1a", digest="sha256:6a0746", total=10, completed=4),
        PullProgress(status="success"),
    ]


async def test_a_pull_that_fails_raises_ollamas_words(backend: OllamaBackend, server: OllamaServer) -> None:
    server.script = [b'{"status":"pulling manifest"}\n{"error":"pull model manifest: file does not exist"}\n']
    with pytest.raises(UpstreamFailed, match="file does not exist"):
        _ = [step async for step in backend.pull("nope")]


async def test_a_pull_that_breaks_off_says_so(backend: OllamaBackend, server: OllamaServer) -> None:
    server.script = [b'{"status":"pulling manifest"}\n']
    with pytest.raises(UpstreamFailed, match="pull it again"):
        _ = [step async for step in backend.pull("llama3.2")]
