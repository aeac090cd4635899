"""What upstreams do wrong, and what callers, sessions and usage see of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from tests.main_api.served.platform import Platform, platform
from tests.main_api.served.upstream import DONE, chunk, event, said, usage_chunk

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

WAYS = pytest.mark.parametrize("way", ["relayed", "rendered"])
MODES = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])

REFUSALS = [
    (400, {"error": {"message": "bad top_p", "param": "top_p"}}, 400, "invalid_request_error"),
    (401, {"error": {"message": "Incorrect API key sk-upstream-canary"}}, 502, "provider_key_refused"),
    (404, {"error": {"message": "no such model"}}, 404, "model_not_found"),
    (413, {"error": {"message": "too big"}}, 413, "payload_too_large"),
    (429, {"error": {"message": "slow down, org-123"}}, 429, "rate_limit_exceeded"),
    (500, {"error": {"message": "boom at 10.0.0.3:8000"}}, 502, "upstream_error"),
    (503, b"<html>nginx</html>", 503, "service_unavailable"),
    (302, b"", 502, "upstream_error"),
]


def caller(served: Platform, way: str) -> tuple[str, dict[str, Any]]:
    return (served.program, {}) if way == "relayed" else (served.program, {"store": True})


@WAYS
@MODES
@pytest.mark.parametrize(("status", "body", "expected", "code"), REFUSALS, ids=[str(row[0]) for row in REFUSALS])
async def test_a_refusal_is_a_real_status_in_openais_shape(  # noqa: PLR0917 - what is varied
    served: Platform, way: str, streamed: bool, status: int, body: Any, expected: int, code: str
) -> None:
    model = served.model()
    served.upstream.fails(model, status, body, Retry_After="7", Location="http://127.0.0.1:1/")
    key, extra = caller(served, way)

    answer = await served.chat(key, model, stream=streamed, **extra)

    assert (answer.status, answer.error["code"]) == (expected, code)
    assert answer.error.keys() >= {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert (answer.headers.get("retry-after") == "7") == (expected in {429, 503})
    for secret in (b"canary", b"org-123", b"10.0.0.3", b"nginx"):
        assert secret not in answer.raw


NONSENSE = {
    "an empty answer": b"",
    "no JSON": b"data: hello\n\n",
    "an error in the first event": event({"error": {"message": "dead at 10.0.0.3", "code": 500}}),
    "done at once": DONE,
    "a list": event([1]),
    "invalid UTF-8": b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n',
}


@WAYS
@pytest.mark.parametrize("frame", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_in_place_of_the_first_event_is_a_502(served: Platform, way: str, frame: bytes) -> None:
    model = served.model()
    served.upstream.streams(model, frame)
    key, extra = caller(served, way)

    answer = await served.stream(key, model, **extra)

    assert answer.status == 502
    assert orjson.loads(answer.raw)["error"]["type"] == "upstream_error"
    assert b"10.0.0.3" not in answer.raw


@WAYS
async def test_a_whole_answer_that_is_nonsense_is_a_502(served: Platform, way: str) -> None:
    key, extra = caller(served, way)
    for body in (b"", b"[]", b'{"choices": [{"mess', b'"text"', b"\xff"):
        model = served.model()
        served.upstream.fails(model, 200, body)
        answer = await served.chat(key, model, **extra)
        assert (answer.status, answer.error["type"]) == (502, "upstream_error"), body


BREAKS = {
    "the end": ("end", ()),
    "a reset": ("reset", ()),
    "an error": ("end", (event({"error": {"message": "CUDA died on gpu7", "code": 500}}),)),
    "an error and done": ("end", (event({"error": {"message": "CUDA died on gpu7"}}), DONE)),
    "half an event": ("end", (b'data: {"choices": [{"delta": {"cont',)),
}


@WAYS
@pytest.mark.parametrize(("then", "frames"), BREAKS.values(), ids=BREAKS.keys())
async def test_after_the_first_token_a_failure_is_one_error_frame_and_no_done(
    served: Platform, way: str, then: str, frames: tuple[bytes, ...]
) -> None:
    model = served.model()
    served.upstream.streams(
        model, chunk({"content": "One "}), chunk({"content": "two"}), *frames, then=then, pause_s=0.01
    )
    key, extra = caller(served, way)

    answer = await served.stream(key, model, **extra)

    assert answer.status == 200
    assert answer.text == "One two"
    assert [error["type"] for error in answer.errors] == ["upstream_error"]
    assert "error" in orjson.loads(answer.frames[-1])
    assert not answer.done
    assert b"gpu7" not in answer.raw
    (row,) = await served.usage(model)
    assert (row["partial"], row["status"]) == (1, 502)
    assert row["completion_tokens"] >= (2 if way == "relayed" else 0)


@WAYS
async def test_garbage_after_the_first_token_does_not_pass_for_an_answer(served: Platform, way: str) -> None:
    model = served.model()
    served.upstream.streams(model, chunk({"content": "One"}), b"data: {]\n\n", pause_s=0.01)
    key, extra = caller(served, way)

    answer = await served.stream(key, model, **extra)

    assert not answer.done  # relayed bytes are not parsed, so the garbage itself may pass
    assert orjson.loads(answer.frames[-1])["error"]["type"] == "upstream_error"
    (row,) = await served.usage(model)
    assert row["partial"] == 1


async def test_the_session_keeps_the_part_that_came(served: Platform) -> None:
    model = served.model()
    served.upstream.streams(model, chunk({"content": "One "}), chunk({"content": "two"}), then="reset", pause_s=0.01)

    answer = await served.stream(served.person, model)

    question, kept = await served.history(served.person, answer.headers["x-session-id"])
    assert question["content"] == "Hello"
    assert (kept["content"], kept["status"]) == ("One two", "partial")
    assert kept["error"]["code"] == "upstream_error"


@MODES
async def test_the_session_keeps_that_an_answer_failed(served: Platform, streamed: bool) -> None:
    good, bad = served.model(), served.model()
    script = served.upstream.says(good, "Hi")
    served.upstream.fails(bad, 500, {"error": {"message": "boom at 10.0.0.3:8000"}})
    session_id = (await served.chat(served.person, good)).body["session_id"]

    failed = await served.chat(served.person, bad, "And you?", session_id=session_id, stream=streamed)
    assert failed.status == 502
    kept = (await served.history(served.person, session_id))[-1]
    assert (kept["role"], kept["content"], kept["status"]) == ("assistant", "", "error")
    assert kept["error"]["code"] == "upstream_error"
    assert "10.0.0.3" not in str(kept)

    await served.chat(served.person, good, "Again?", session_id=session_id)
    assert script.messages == [("user", "Hello"), ("assistant", "Hi"), ("user", "And you?"), ("user", "Again?")]


async def test_a_failed_first_question_is_kept_too(served: Platform) -> None:
    model = served.model()
    served.upstream.fails(model, 500, {})
    before = (await served.call("GET", "/api/chat/sessions", key=served.person)).body["sessions"]

    assert (await served.chat(served.person, model, "Was I heard?")).status == 502

    after = (await served.call("GET", "/api/chat/sessions", key=served.person)).body["sessions"]
    (new,) = (s for s in after if s["id"] not in {b["id"] for b in before})
    question, answer = await served.history(served.person, new["id"])
    assert (question["content"], answer["status"]) == ("Was I heard?", "error")


@WAYS
async def test_usage_counts_what_the_upstream_counted(served: Platform, way: str) -> None:
    model = served.model()
    frames = [
        chunk({"content": "Hi"}),
        chunk(finish="stop"),
        usage_chunk({"prompt_tokens": 40, "completion_tokens": 2}),
        DONE,
    ]
    served.upstream.streams(model, *frames)
    key, extra = caller(served, way)

    await served.stream(key, model, **extra)

    (row,) = await served.usage(model)
    counted = {name: row[name] for name in ("prompt_tokens", "completion_tokens", "partial", "status", "agent")}
    assert counted == {"prompt_tokens": 40, "completion_tokens": 2, "partial": 0, "status": 200, "agent": "chat"}
    assert row["key_id"] is not None


@WAYS
async def test_a_refused_call_is_charged_nothing_but_noted(served: Platform, way: str) -> None:
    model = served.model()
    served.upstream.fails(model, 429, {})
    key, extra = caller(served, way)

    await served.chat(key, model, **extra)

    (row,) = await served.usage(model)
    assert (row["completion_tokens"], row["partial"], row["status"]) == (0, 1, 429)


async def test_an_unknown_model_is_openais_404(served: Platform) -> None:
    answer = await served.chat(served.program, "nobody-scripted-this")
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")


@WAYS
async def test_the_first_byte_comes_while_the_upstream_still_speaks(served: Platform, way: str) -> None:
    model = served.model()
    served.upstream.streams(model, chunk({"content": "first"}), then="hang")
    key, extra = caller(served, way)

    async with served.open_stream(key, model, **extra) as response, asyncio.timeout(30):
        assert b"first" in await response.content.readuntil(b"\n\n")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def impatient(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A platform that waits half a second for a model, and knows a provider that is not there."""
    extra = {"openai_api_key": "sk-nobody-000000000000000000000000", "openai_base_url": "http://127.0.0.1:9/v1"}
    async with platform(tmp_path_factory.mktemp("impatient"), model_timeout_s=0.5, **extra) as running:
        yield running


@WAYS
@MODES
async def test_a_model_that_stays_silent_is_a_504(impatient: Platform, way: str, streamed: bool) -> None:
    model = impatient.model()
    script = impatient.upstream.hangs(model)
    key, extra = caller(impatient, way)

    answer = await impatient.chat(key, model, stream=streamed, **extra)

    assert (answer.status, answer.error["code"]) == (504, "deadline_exceeded")
    async with asyncio.timeout(30):
        await script.hung_up.wait()


@WAYS
async def test_a_model_that_falls_silent_ends_the_stream_with_an_error(impatient: Platform, way: str) -> None:
    model = impatient.model()
    script = impatient.upstream.streams(model, chunk({"content": "One"}), then="hang")
    key, extra = caller(impatient, way)

    answer = await impatient.stream(key, model, **extra)

    assert answer.text == "One"
    assert [error["code"] for error in answer.errors] == ["deadline_exceeded"]
    assert not answer.done
    async with asyncio.timeout(30):
        await script.hung_up.wait()


@WAYS
@MODES
async def test_a_provider_that_is_not_there_is_a_503(impatient: Platform, way: str, streamed: bool) -> None:
    key, extra = caller(impatient, way)
    body = {"model": "openai/gpt-9", "messages": [{"role": "user", "content": "x"}], "stream": streamed, **extra}

    answer = await impatient.call("POST", "/v1/chat/completions", body, key=key)

    assert (answer.status, answer.error["code"]) == (503, "service_unavailable")
    assert b"127.0.0.1" not in answer.raw


@WAYS
async def test_an_endless_event_ends_the_stream(served: Platform, way: str) -> None:
    model = served.model()
    served.upstream.streams(model, *said("Hi")[:1], b"data: ", *[b"x" * 2**20] * 6, then="hang")
    key, extra = caller(served, way)

    async with asyncio.timeout(10):
        answer = await served.stream(key, model, **extra)

    assert answer.text == "Hi"
    assert [error["type"] for error in answer.errors] == ["upstream_error"]
