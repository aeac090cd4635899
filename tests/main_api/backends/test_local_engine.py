"""The bundled model in the real engine: what callers may ask of it, and what happens when things go wrong."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import psutil
import pytest

from main_api.backends.engine import EngineOptions, EngineStopped, EngineUnavailable
from main_api.backends.engine_pool import EnginePool
from main_api.backends.local import LocalBackend
from main_api.backends.local_models import BUNDLED_MODEL, BUNDLED_PATH
from main_api.backends.openai_wire_errors import ContextLengthExceeded
from main_api.backends.protocol import ModelRequest
from main_api.events import ChoiceFinished, ModelEvent, TextDelta, ToolCallDelta, UsageReported
from shared.errors import InvalidRequest

from .conftest import GREETING

pytestmark = pytest.mark.slow

CALCULATOR = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Evaluate a mathematical expression",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    },
}
ENDLESS = {"max_tokens": 900, "logit_bias": {"2": -100}}
"""The end-of-text token is forbidden, so the answer goes on until its limit."""


@pytest.fixture
async def pool(session: aiohttp.ClientSession, tmp_path: Path) -> AsyncIterator[EnginePool]:
    pool = EnginePool(EngineOptions(log_dir=tmp_path / "logs", idle_unload_s=60, slots=4), session)
    yield pool
    await pool.aclose()


@pytest.fixture
def local(pool: EnginePool, tmp_path: Path) -> LocalBackend:
    return LocalBackend(models_dir=tmp_path / "models", engines=pool)


def ask(text: str = "Hello", **options: Any) -> ModelRequest:
    return ModelRequest(model="twinport-tiny", messages=[{"role": "user", "content": text}], options=options)


async def events_of(local: LocalBackend, request: ModelRequest) -> list[ModelEvent]:
    return [event async for event in local.stream(request)]


def text_of(events: list[ModelEvent], choice: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta) and event.choice == choice)


async def plain(local: LocalBackend, **body: Any) -> dict[str, Any]:
    async with local.relay(BUNDLED_MODEL, {"messages": [{"role": "user", "content": "Hello"}], **body}) as answer:
        return orjson.loads(await answer.read())


async def test_chat_streams_the_greeting_with_its_usage(local: LocalBackend) -> None:
    events = await events_of(local, ask())
    assert text_of(events) == GREETING
    assert events[-2] == ChoiceFinished("stop")
    assert isinstance(events[-1], UsageReported)
    assert events[-1].usage.completion_tokens == 9


async def test_relay_carries_the_public_name(local: LocalBackend) -> None:
    answer = await plain(local)
    assert answer["choices"][0]["message"]["content"] == GREETING
    assert answer["model"] == BUNDLED_MODEL


async def test_relay_streams(local: LocalBackend) -> None:
    async with local.relay("twinport-tiny", {"messages": [{"role": "user", "content": "Hello"}], "stream": True}) as a:
        body = await a.read()
    assert body.startswith(b"data: ")
    assert body.endswith(b"data: [DONE]\n\n")


async def test_several_choices(local: LocalBackend) -> None:
    events = await events_of(local, ask(n=2))
    assert text_of(events, 0) == text_of(events, 1) == GREETING


async def test_seed_repeats_a_random_answer(local: LocalBackend) -> None:
    hot = {"temperature": 1.9, "top_p": 1, "top_k": 0, "min_p": 0, "max_tokens": 40}
    first, again, other = [text_of(await events_of(local, ask(seed=seed, **hot))) for seed in (7, 7, 8)]
    assert first == again != other


async def test_stop_word_ends_the_answer_before_it(local: LocalBackend) -> None:
    assert text_of(await events_of(local, ask(stop=["help"]))) == "Hello! How can I "


async def test_token_limit_is_told(local: LocalBackend) -> None:
    events = await events_of(local, ask(max_completion_tokens=2))
    assert ChoiceFinished("length") in events
    assert text_of(events) == "Hello!"


async def test_logprobs(local: LocalBackend) -> None:
    events = await events_of(local, ask(logprobs=True, top_logprobs=2, max_tokens=2))
    first = next(event for event in events if isinstance(event, TextDelta))
    assert first.logprobs is not None
    assert first.logprobs["content"][0]["token"] == "Hello"
    assert len(first.logprobs["content"][0]["top_logprobs"]) == 2


async def test_native_tool_call(local: LocalBackend) -> None:
    events = await events_of(local, ask("Calculate 12 * 7", tools=[CALCULATOR]))
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert calls[0].name == "calculator"
    assert orjson.loads("".join(call.arguments for call in calls)) == {"expression": "12 * 7"}
    assert ChoiceFinished("tool_calls") in events


async def test_answer_after_the_tool_spoke(local: LocalBackend) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "calculator", "arguments": '{"expression": "12 * 7"}'}}
    messages = [
        {"role": "user", "content": "Calculate 12 * 7"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "84"},
    ]
    request = ModelRequest(model="twinport-tiny", messages=messages, options={"tools": [CALCULATOR]})
    assert "84" in text_of(await events_of(local, request))


async def test_tool_choice_none_hides_the_tools(local: LocalBackend) -> None:
    events = await events_of(local, ask("Calculate 12 * 7", tools=[CALCULATOR], tool_choice="none"))
    assert not [event for event in events if isinstance(event, ToolCallDelta)]
    assert "<tool_call>" not in text_of(events)


async def test_named_tool_is_called(local: LocalBackend) -> None:
    other = {"type": "function", "function": {"name": "websearch"}}
    choice = {"type": "function", "function": {"name": "calculator"}}
    events = await events_of(local, ask("Calculate 12 * 7", tools=[other, CALCULATOR], tool_choice=choice))
    assert [event.name for event in events if isinstance(event, ToolCallDelta) and event.name] == ["calculator"]


async def test_json_schema_holds(local: LocalBackend) -> None:
    schema = {"type": "object", "properties": {"agent": {"enum": ["chat", "react"]}}, "required": ["agent"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "auto", "schema": schema}}
    answer = orjson.loads(text_of(await events_of(local, ask("Calculate 12 * 7", response_format=wanted))))
    assert answer["agent"] in {"chat", "react"}


async def test_parts_of_text_are_read(local: LocalBackend) -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    request = ModelRequest(model="twinport-tiny", messages=[{"role": "user", "content": parts}])
    assert text_of(await events_of(local, request))


@pytest.mark.parametrize("stream", [True, False])
async def test_too_long_prompt_is_told_like_openai(local: LocalBackend, stream: bool) -> None:
    body = {"messages": [{"role": "user", "content": "Hello " * 3000}], "stream": stream}
    with pytest.raises(ContextLengthExceeded, match="maximum context length is 1024 tokens"):
        async with local.relay(BUNDLED_MODEL, body):
            pytest.fail("the context was entered")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "#/nowhere"},
        {"$ref": "http://127.0.0.1:1/x"},
        {"type": "string", "pattern": "^((($"},
        {"type": "array", "items": {"type": "string"}, "minItems": 10**9},
    ],
)
async def test_a_schema_that_the_engine_cannot_use_is_the_callers_fault(
    local: LocalBackend, schema: dict[str, Any]
) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(InvalidRequest):
        await events_of(local, ask(response_format=wanted))


async def test_too_many_choices_are_refused(local: LocalBackend) -> None:
    with pytest.raises(InvalidRequest):
        await events_of(local, ask(n=100))


async def test_twenty_streams_at_once(local: LocalBackend) -> None:
    answers = await asyncio.gather(*(events_of(local, ask()) for _ in range(20)))
    assert [text_of(events) for events in answers] == [GREETING] * 20


async def test_hanging_up_frees_running_and_waiting_requests(local: LocalBackend, pool: EnginePool) -> None:
    """Four slots are busy, twelve requests wait, 900 tokens each; when all hang up, a short one is served at once."""
    running = [local.stream(ask("Write slides", **ENDLESS)) for _ in range(4)]
    for stream in running:
        await anext(stream)
    waiting = [asyncio.create_task(events_of(local, ask("Write slides", **ENDLESS))) for _ in range(12)]
    engine = psutil.Process(pool.status()[0].pid)
    async with asyncio.timeout(30):
        while sum(c.status == psutil.CONN_ESTABLISHED for c in engine.net_connections("tcp")) < 16:
            await asyncio.sleep(0.01)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    for stream in running:
        await stream.aclose()  # pyright: ignore[reportAttributeAccessIssue]
    before = sum(engine.cpu_times()[:2])
    assert text_of(await events_of(local, ask())) == GREETING
    assert sum(engine.cpu_times()[:2]) - before < 2  # 14,400 tokens would cost more than that on any machine of ours


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
async def test_killed_child_gives_a_clear_error_and_the_next_request_works(
    local: LocalBackend, pool: EnginePool, how: signal.Signals
) -> None:
    stream = local.stream(ask("Write slides", **ENDLESS))
    await anext(stream)
    first = pool.status()[0].pid
    assert first is not None
    os.kill(first, how)
    with pytest.raises(EngineStopped, match="ask again"):
        async for _ in stream:
            pass
    assert text_of(await events_of(local, ask())) == GREETING
    status = pool.status()[0]
    assert (status.state, status.restarts) == ("ready", 1)
    assert status.pid != first


@pytest.mark.parametrize("relayed", [False, True])
async def test_child_killed_six_times_answers_every_next_request(
    local: LocalBackend, pool: EnginePool, relayed: bool
) -> None:
    """Even a request that comes at once, before the end of the child is noticed."""
    for kills in range(7):
        if relayed:
            assert (await plain(local))["choices"][0]["message"]["content"] == GREETING
        else:
            assert text_of(await events_of(local, ask())) == GREETING
        status = pool.status()[0]
        assert status.restarts == kills
        os.kill(status.pid or 0, signal.SIGKILL)


async def test_killed_child_breaks_a_relayed_stream_with_a_clear_error(local: LocalBackend, pool: EnginePool) -> None:
    body = {"messages": [{"role": "user", "content": "Write slides"}], "stream": True, **ENDLESS}
    with pytest.raises(EngineStopped):
        await _kill_while_relaying(local, pool, body)


async def _kill_while_relaying(local: LocalBackend, pool: EnginePool, body: dict[str, Any]) -> None:
    async with local.relay(BUNDLED_MODEL, body) as answer:
        pieces = aiter(answer.chunks())
        await anext(pieces)
        os.kill(pool.status()[0].pid or 0, signal.SIGKILL)
        async for _ in pieces:
            pass


async def test_idle_engine_is_unloaded_and_comes_back(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    pool = EnginePool(EngineOptions(log_dir=tmp_path / "logs", idle_unload_s=0.2), session)
    local = LocalBackend(models_dir=tmp_path, engines=pool)
    try:
        await events_of(local, ask())
        pid = pool.status()[0].pid
        assert pid is not None
        async with asyncio.timeout(30):
            while pool.status()[0].state != "stopped":
                await asyncio.sleep(0.02)
        assert not psutil.pid_exists(pid)
        assert text_of(await events_of(local, ask())) == GREETING
    finally:
        await pool.aclose()


async def test_twenty_first_requests_start_one_engine(local: LocalBackend, pool: EnginePool) -> None:
    await asyncio.gather(*(events_of(local, ask(max_tokens=1)) for _ in range(20)))
    assert len(pool.status()) == 1
    assert pool.status()[0].restarts == 0


async def test_the_engine_refuses_strangers_and_hides_prompts(
    local: LocalBackend, pool: EnginePool, session: aiohttp.ClientSession
) -> None:
    await events_of(local, ask(max_tokens=1))
    process = psutil.Process(pool.status()[0].pid)
    listening = [c.laddr for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    base = f"http://127.0.0.1:{listening[0].port}"
    for path in ("/v1/chat/completions", "/slots", "/props", "/v1/completions"):
        async with session.post(base + path, json={}) as response:
            assert response.status == 401
    child = pool._engines[BUNDLED_MODEL]._process  # the key is nowhere to be had, which is the point
    assert child is not None
    assert child.api_key not in " ".join(process.cmdline()) + str(process.environ())


async def test_broken_file_says_why_and_names_no_path(
    session: aiohttp.ClientSession, tmp_path: Path, pool: EnginePool
) -> None:
    (tmp_path / "cut.gguf").write_bytes(BUNDLED_PATH.read_bytes()[:3_000_000])
    local = LocalBackend(models_dir=tmp_path, engines=pool)
    request = ModelRequest(model="cut", messages=[{"role": "user", "content": "Hello"}])
    with pytest.raises(EngineUnavailable, match="incomplete; download it again") as caught:
        await events_of(local, request)
    assert str(tmp_path) not in caught.value.message
    assert caught.value.retry_after is not None
    for _ in range(3):  # after 1, 2 and 4 seconds, which are waited out
        with pytest.raises(EngineUnavailable, match="incomplete; download it again"):
            await events_of(local, request)
    with pytest.raises(EngineUnavailable, match=r"keeps failing: .*incomplete"):
        await events_of(local, request)
