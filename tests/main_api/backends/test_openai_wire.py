"""The reader of streamed answers: whatever the pieces, the events are the same; whatever is wrong, it says so."""

import time
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from main_api.backends.openai_wire import LONGEST_LINE, ChatStreamReader, MalformedAnswer
from main_api.backends.openai_wire_errors import (
    ContextLengthExceeded,
    ProviderRefusedKey,
    error_from_answer,
)
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
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Unavailable,
    UpstreamFailed,
)
from shared.retry_after import retry_after_of


def sse(*chunks: object, end: str = "\n\n", done: bool = True) -> bytes:
    data = b"".join(b"data: " + orjson.dumps(chunk) + end.encode() for chunk in chunks)
    return data + (b"data: [DONE]" + end.encode() if done else b"")


def delta(finish: str | None = None, index: int = 0, **fields: object) -> dict[str, object]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def read(*pieces: bytes) -> list[ModelEvent]:
    reader = ChatStreamReader("Acme")
    events = [event for piece in pieces for event in reader.feed(piece)]
    return events + reader.close()


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_content_and_finish() -> None:
    assert read(sse(delta(role="assistant", content=None), delta(content="Hi"), delta("stop"))) == [
        TextDelta("Hi"),
        ChoiceFinished("stop"),
    ]


def test_text_that_arrived_together_is_one_event() -> None:
    assert read(sse(delta(content="a"), delta(content="b"), delta("stop")))[0] == TextDelta("ab")


STREAM = (
    b": keep-alive\n\nevent: message\r\nid: 7\r\n"
    + sse(delta(content="Zürich 서울 🏔"), delta(reasoning_content="hm"), end="\r\n\r\n", done=False)
    + sse(delta(content=" ok"), delta("length"), {"choices": [], "usage": {"prompt_tokens": 3}, "model": "m"})
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_any_split_of_the_bytes_gives_the_same_answer(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    events = read(*(STREAM[a:b] for a, b in pairwise(edges)))
    assert text_of(events) == "Zürich 서울 🏔 ok"
    assert ReasoningDelta("hm") in events
    assert events[-2:] == [ChoiceFinished("length"), UsageReported(Usage(prompt_tokens=3), "m")]


def test_byte_by_byte() -> None:
    events = read(*(STREAM[i : i + 1] for i in range(len(STREAM))))
    assert text_of(events) == "Zürich 서울 🏔 ok"


def test_data_of_one_event_on_several_lines() -> None:
    assert read(b'data: {"choices": [{"delta":\ndata: {"content": "x"}, "finish_reason": "stop"}]}\n\n') == [
        TextDelta("x"),
        ChoiceFinished("stop"),
    ]


def test_end_without_the_last_blank_line_or_done() -> None:
    assert text_of(read(sse(delta("stop", content="x"), done=False).rstrip())) == "x"


def test_both_names_of_reasoning() -> None:
    events = read(sse(delta(reasoning="a"), delta(reasoning_content="b"), delta("stop", content="c")))
    assert events[:2] == [ReasoningDelta("a"), ReasoningDelta("b")]


def test_tool_calls_in_pieces() -> None:
    first = {"index": 1, "id": "c1", "type": "function", "function": {"name": "calc", "arguments": "{"}}
    second = {"index": 1, "function": {"arguments": '"x": 1}'}}
    assert read(sse(delta(tool_calls=[first]), delta(tool_calls=[second]), delta("tool_calls"))) == [
        ToolCallDelta(1, "c1", "calc", "{"),
        ToolCallDelta(1, None, None, '"x": 1}'),
        ChoiceFinished("tool_calls"),
    ]


def test_tool_calls_without_index_and_with_an_object_as_arguments() -> None:
    calls = [{"id": str(i), "function": {"name": "f", "arguments": {"a": i}}} for i in range(2)]
    assert [e for e in read(sse(delta("stop", tool_calls=calls))) if isinstance(e, ToolCallDelta)] == [
        ToolCallDelta(0, "0", "f", '{"a":0}'),
        ToolCallDelta(1, "1", "f", '{"a":1}'),
    ]


def test_logprobs_stay_with_their_text() -> None:
    chunk = {"choices": [{"delta": {"content": "a"}, "logprobs": {"content": [{"token": "a"}]}}]}
    events = read(sse(chunk, chunk, delta("stop")))
    assert events[:2] == [TextDelta("a", 0, {"content": [{"token": "a"}]})] * 2


def test_several_choices() -> None:
    events = read(sse(delta(content="a"), delta(content="b", index=1), delta("stop"), delta("length", index=1)))
    assert events == [TextDelta("a"), TextDelta("b", 1), ChoiceFinished("stop"), ChoiceFinished("length", 1)]


def test_a_running_total_of_usage_is_reported_once() -> None:
    chunks = [{**delta(content="x"), "usage": {"prompt_tokens": 5, "completion_tokens": n}} for n in (1, 2)]
    last = {
        "choices": [],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 3,
            "completion_tokens_details": {"reasoning_tokens": 2},
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    }
    reports = [e for e in read(sse(*chunks, delta("stop"), last)) if isinstance(e, UsageReported)]
    assert reports == [UsageReported(Usage(5, 3, 2, 4))]


def test_unknown_finish_reason_is_stop() -> None:
    assert read(sse(delta("eos", content="x")))[-1] == ChoiceFinished("stop")


def test_refusal_is_shown() -> None:
    assert text_of(read(sse(delta("stop", refusal="No.")))) == "No."


def test_done_without_finish_reason_finishes() -> None:
    assert read(sse(delta(content="x")))[-1] == ChoiceFinished("stop")


def test_what_follows_done_is_ignored() -> None:
    assert read(sse(delta("stop", content="x")) + b"data: {garbage\n\n")[-1] == ChoiceFinished("stop")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"data: [DONE]\n\n",
        b": only comments\n\n",
        sse(delta(content="x"), done=False),
        sse(delta("stop", content="x"), delta(content="y", index=1), done=False),
        b"data: {not json}\n\n",
        b'data: {"choices": [{"delta": {"content": "x"}, "fin',
        b'data: {"choices": 5}\n\n',
        b"data: []\n\n",
        b'data: {"choices": [null]}\n\n',
        b'data: {"choices": [{"delta": {"content": ["x"]}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": "\xc3(x"}}]}\n\n',
        b'data: {"choices": [], "usage": "many"}\n\n',
        b'data: {"choices": [{"index": [], "delta": {}}]}\n\n',
        b"<html>Bad gateway</html>",
    ],
)
def test_what_is_not_a_whole_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        read(body)


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    reader = ChatStreamReader("Acme")
    for _ in range(LONGEST_LINE // 65_536):
        reader.feed(b"x" * 65_536)
    with pytest.raises(MalformedAnswer):
        reader.feed(b"x")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": 429, "message": "slow down"}, RateLimited),
        ({"code": 400, "type": "exceed_context_size_error", "message": "m"}, ContextLengthExceeded),
        ({"type": "invalid_request_error", "message": "m"}, InvalidRequest),
        ({"type": "server_error", "message": "m"}, UpstreamFailed),
        ("plain words", UpstreamFailed),
    ],
)
def test_error_inside_the_stream(error: object, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        read(sse(delta(content="x"), {"error": error}))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, UpstreamFailed),
        (400, InvalidRequest),
        (401, ProviderRefusedKey),
        (402, ProviderRefusedKey),
        (403, ProviderRefusedKey),
        (404, NotFound),
        (408, DeadlineExceeded),
        (413, PayloadTooLarge),
        (422, InvalidRequest),
        (429, RateLimited),
        (500, UpstreamFailed),
        (503, Unavailable),
        (504, UpstreamFailed),
    ],
)
def test_statuses(status: int, expected: type[Exception]) -> None:
    error = error_from_answer("Acme", status, {}, b"<html>")
    assert type(error) is expected
    assert error.status != 401


def test_upstreams_words_and_param_reach_the_caller_for_a_400() -> None:
    body = b'{"error": {"message": "temperature must be a number", "param": "temperature"}}'
    error = error_from_answer("Acme", 400, {}, body)
    assert (error.message, error.param) == ("temperature must be a number", "temperature")


def test_upstreams_words_stay_inside_for_a_500() -> None:
    error = error_from_answer("Acme", 500, {}, b'{"error": {"message": "/srv/secret/path exploded"}}')
    assert "/srv" not in error.message


def test_too_long_prompt_says_what_openai_says() -> None:
    body = (
        b'{"error":{"code":400,"message":"m","type":"exceed_context_size_error","n_prompt_tokens":6008,"n_ctx":1024}}'
    )
    error = error_from_answer("Acme", 400, {}, body)
    assert error.code == "context_length_exceeded"
    assert "1024 tokens" in error.message
    assert "6008 tokens" in error.message


@pytest.mark.parametrize(
    ("value", "expected"), [("7", 7.0), ("1.5", 1.5), ("soon", None), ("", None), ("-3", None), ("9" * 30, 3600.0)]
)
def test_retry_after(value: str, expected: float | None) -> None:
    assert retry_after_of({"Retry-After": value}) == expected


def test_retry_after_as_a_date() -> None:
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    seconds = retry_after_of({"Retry-After": soon})
    assert seconds is not None
    assert 25 < seconds <= 30


def test_a_chunk_costs_microseconds() -> None:
    chunk = sse({"id": "chatcmpl-1", "model": "m", "created": 1, **delta(content=" word")}, done=False)
    reader = ChatStreamReader("Acme")
    started = time.process_time()
    for _ in range(5_000):
        reader.feed(chunk)
    assert (time.process_time() - started) / 5_000 < 50e-6  # about 4 µs here; the bound is for busy machines
