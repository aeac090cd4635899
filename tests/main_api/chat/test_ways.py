"""The two ways of an answer, relayed bytes (a program) and rendered events (a person), tell the same."""

from typing import Any

import orjson
import pytest

from tests.main_api.served.platform import Platform, Streamed
from tests.main_api.served.upstream import DONE, USAGE, chunk, said, usage_chunk

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

WAYS = pytest.mark.parametrize("way", ["relayed", "rendered"])


def caller(served: Platform, way: str) -> tuple[str, dict[str, Any]]:
    return (served.program, {}) if way == "relayed" else (served.program, {"store": True})


@WAYS
async def test_whole_answers_tell_text_reason_and_usage(served: Platform, way: str) -> None:
    model = served.model()
    script = served.upstream.says(model, "Hel", "lo")
    key, extra = caller(served, way)

    answer = await served.chat(key, model, temperature=0.5, seed=3, max_tokens=9, stop=["x"], **extra)

    assert answer.status == 200
    assert answer.text == "Hello"
    assert answer.body["object"] == "chat.completion"
    assert answer.body["choices"][0]["finish_reason"] == "stop"
    assert {name: answer.body["usage"][name] for name in USAGE} == USAGE
    assert answer.headers["x-request-id"].startswith("req_")
    sent = script.bodies[-1]
    assert (sent["temperature"], sent["seed"], sent["max_tokens"], sent["stop"]) == (0.5, 3, 9, ["x"])
    assert not {"store", "agent_type", "session_id"} & sent.keys()


@WAYS
async def test_streams_tell_text_and_reason_and_end_with_done(served: Platform, way: str) -> None:
    model = served.model()
    served.upstream.says(model, "Hel", "lo")
    key, extra = caller(served, way)

    answer = await served.stream(key, model, **extra)

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == "Hello"
    assert answer.finish_reasons == ["stop"]
    assert answer.frames[-1] == b"[DONE]"
    assert answer.usages == []
    assert all(chunk["choices"] for chunk in answer.chunks)


async def test_rendered_events_are_numbered_without_gaps(served: Platform) -> None:
    model = served.model()
    served.upstream.streams(model, *said("a", "b", "c"), pause_s=0.01)

    answer = await served.stream(served.person, model)

    ids = [int(line.removeprefix(b"id:")) for line in answer.raw.split(b"\n") if line.startswith(b"id:")]
    assert ids == list(range(1, len(answer.chunks) + 1))


@WAYS
async def test_usage_comes_in_a_stream_when_it_is_asked_for(served: Platform, way: str) -> None:
    model = served.model()
    served.upstream.says(model, "Hi")
    key, extra = caller(served, way)

    answer = await served.stream(key, model, stream_options={"include_usage": True}, **extra)

    assert [{name: usage[name] for name in USAGE} for usage in answer.usages] == [USAGE]
    assert answer.chunks[-1]["choices"] == []


TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("weather", "time")
]
CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rom"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
]


def called() -> list[bytes]:
    first, second = ({"index": i, **call} for i, call in enumerate(CALLS))
    begun = {**first, "function": {"name": "weather", "arguments": '{"city"'}}
    rest = {"index": 0, "function": {"arguments": ': "Rom"}'}}
    return [
        chunk({"role": "assistant", "content": None, "tool_calls": [begun]}),
        chunk({"tool_calls": [rest]}),
        chunk({"tool_calls": [second]}),
        chunk(finish="tool_calls"),
        usage_chunk(),
        DONE,
    ]


@WAYS
async def test_parallel_calls_of_client_side_tools_come_back(served: Platform, way: str) -> None:
    model = served.model()
    script = served.upstream.answers(
        model, {"role": "assistant", "content": None, "tool_calls": CALLS}, called(), finish="tool_calls"
    )
    key, extra = caller(served, way)
    extra |= {"tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": True}

    whole = await served.chat(key, model, **extra)
    streamed = await served.stream(key, model, **extra)

    choice = whole.body["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"] == CALLS
    assert choice["message"]["content"] is None
    assert assembled(streamed) == CALLS
    assert streamed.finish_reasons == ["tool_calls"]
    assert script.bodies[-1]["tools"] == TOOLS
    assert (script.bodies[-1]["tool_choice"], script.bodies[-1]["parallel_tool_calls"]) == ("auto", True)


def assembled(streamed: Streamed) -> list[dict[str, Any]]:
    """Put the calls of a stream together as OpenAI's SDKs do."""
    calls: dict[int, dict[str, Any]] = {}
    for delta in streamed.deltas():
        for piece in delta.get("tool_calls") or ():
            call = calls.setdefault(
                piece["index"], {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            )
            call["id"] = piece.get("id") or call["id"]
            call["function"]["name"] += piece["function"].get("name") or ""
            call["function"]["arguments"] += piece["function"].get("arguments") or ""
    return [calls[index] for index in sorted(calls)]


@WAYS
async def test_log_probabilities_come_back(served: Platform, way: str) -> None:
    model = served.model()
    first, second = (
        {"content": [{"token": token, "logprob": -0.1, "bytes": [1], "top_logprobs": []}]} for token in "ab"
    )
    joined = {"content": [*first["content"], *second["content"]]}
    frames = [
        chunk({"content": "a"}, choice={"logprobs": first}),
        chunk({"content": "b"}, choice={"logprobs": second}),
        chunk(finish="stop"),
        DONE,
    ]
    choices = [
        {"index": 0, "message": {"role": "assistant", "content": "ab"}, "logprobs": joined, "finish_reason": "stop"}
    ]
    script = served.upstream.answers(model, {}, frames, choices=choices)
    key, extra = caller(served, way)
    extra |= {"logprobs": True, "top_logprobs": 1}

    whole = await served.chat(key, model, **extra)
    streamed = await served.stream(key, model, **extra)

    assert whole.body["choices"][0]["logprobs"]["content"] == joined["content"]
    tokens = [
        token["token"]
        for frame in streamed.chunks
        for choice in frame["choices"]
        for token in (choice.get("logprobs") or {}).get("content", ())
    ]
    assert tokens == ["a", "b"]
    assert script.bodies[-1]["top_logprobs"] == 1


@WAYS
async def test_two_choices_stay_apart(served: Platform, way: str) -> None:
    model = served.model()
    frames = [
        chunk({"content": "red"}, index=0),
        chunk({"content": "blue"}, index=1),
        chunk(finish="length", index=1),
        chunk(finish="stop", index=0),
        usage_chunk(),
        DONE,
    ]
    choices = [
        {"index": 0, "message": {"role": "assistant", "content": "red"}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": "blue"}, "finish_reason": "length"},
    ]
    served.upstream.answers(model, {}, frames, choices=choices)
    key, extra = caller(served, way)

    whole = await served.chat(key, model, n=2, **extra)
    streamed = await served.stream(key, model, n=2, **extra)

    told = [(c["index"], c["message"]["content"], c["finish_reason"]) for c in whole.body["choices"]]
    assert told == [(0, "red", "stop"), (1, "blue", "length")]
    texts = ["".join(delta.get("content") or "" for delta in streamed.deltas(index)) for index in (0, 1)]
    assert texts == ["red", "blue"]
    assert sorted(streamed.finish_reasons) == ["length", "stop"]


@WAYS
async def test_reasoning_stays_beside_the_content(served: Platform, way: str) -> None:
    model = served.model()
    frames = [chunk({"reasoning_content": "Hm. "}), chunk({"reasoning_content": "So."}), *said("Yes")]
    message = {"role": "assistant", "content": "Yes", "reasoning_content": "Hm. So."}
    served.upstream.answers(model, message, frames)
    key, extra = caller(served, way)

    whole = await served.chat(key, model, **extra)
    streamed = await served.stream(key, model, **extra)

    assert whole.text == streamed.text == "Yes"
    assert whole.body["choices"][0]["message"]["reasoning_content"] == "Hm. So."
    assert "".join(delta.get("reasoning_content") or "" for delta in streamed.deltas()) == "Hm. So."


async def test_fields_that_nobody_knows_survive_the_relay(served: Platform) -> None:
    model = served.model()
    frames = [chunk({"content": "a", "future": 1}, provider="x", choice={"weight": 2}), chunk(finish="stop"), DONE]
    message = {"role": "assistant", "content": "a", "annotations": [{"type": "future"}]}
    served.upstream.answers(model, message, frames, system_fingerprint="fp_1", provider={"name": "x"})

    whole = await served.chat(served.program, model)
    streamed = await served.stream(served.program, model)

    assert whole.body["choices"][0]["message"]["annotations"] == [{"type": "future"}]
    assert (whole.body["system_fingerprint"], whole.body["provider"]) == ("fp_1", {"name": "x"})
    first = streamed.chunks[0]
    assert (first["provider"], first["choices"][0]["weight"], first["choices"][0]["delta"]["future"]) == ("x", 2, 1)


@WAYS
async def test_a_stream_with_cr_lf_is_read(served: Platform, way: str) -> None:
    model = served.model()
    whole = b"".join(said("Hel", "lo\n\nthere")).replace(b"\n", b"\r\n")
    served.upstream.streams(model, *(whole[i : i + 7] for i in range(0, len(whole), 7)))
    key, extra = caller(served, way)

    answer = await served.stream(key, model, **extra)

    assert answer.text == "Hello\n\nthere"
    assert answer.done
    assert answer.usages == []


@WAYS
async def test_bytes_torn_inside_a_character_are_joined(served: Platform, way: str) -> None:
    model = served.model()
    raw = b'data: {"choices":[{"index":0,"delta":{"content":"\xf0\x9f\x90\xb3!"},"finish_reason":"stop"}]}\n\n' + DONE
    served.upstream.streams(model, raw[:52], raw[52:54], raw[54:])
    key, extra = caller(served, way)

    assert (await served.stream(key, model, **extra)).text == "🐳!"


@WAYS
async def test_done_without_a_space_is_done(served: Platform, way: str) -> None:
    model = served.model()
    served.upstream.streams(model, chunk({"content": "Hi"}), chunk(finish="stop"), b"data:[DONE]\n\n")
    key, extra = caller(served, way)

    answer = await served.stream(key, model, **extra)

    assert (answer.text, answer.errors, answer.done) == ("Hi", [], True)


@WAYS
async def test_a_text_that_says_done_does_not_end_the_stream(served: Platform, way: str) -> None:
    model = served.model()
    served.upstream.streams(model, chunk({"content": "say data: [DONE] now"}), then="reset")
    key, extra = caller(served, way)

    answer = await served.stream(key, model, **extra)

    assert len(answer.errors) == 1
    assert answer.frames[-1] != b"[DONE]"


@WAYS
async def test_a_whole_answer_to_a_request_for_a_stream_is_streamed(served: Platform, way: str) -> None:
    model = served.model()
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    served.upstream.fails(model, 200, whole)
    key, extra = caller(served, way)

    answer = await served.stream(key, model, **extra)

    assert (answer.status, answer.text, answer.finish_reasons, answer.done) == (200, "Hi", ["stop"], True)


@WAYS
@pytest.mark.parametrize("usage", ["many", {"prompt_tokens": "x"}, {"prompt_tokens_details": []}, [1]])
async def test_nonsense_in_place_of_the_usage_is_no_failure_of_ours(served: Platform, way: str, usage: Any) -> None:
    model = served.model()
    frames = [chunk({"content": "Hi"}), chunk(finish="stop"), orjsoned({"choices": [], "usage": usage}), DONE]
    choices = [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]
    served.upstream.answers(model, {}, frames, choices=choices, usage=usage)
    key, extra = caller(served, way)

    whole = await served.chat(key, model, **extra)
    streamed = await served.stream(key, model, **extra)

    assert whole.status in {200, 502}
    assert streamed.text == "Hi"
    assert all(error["code"] == "upstream_error" for error in streamed.errors)


def orjsoned(body: object) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"
