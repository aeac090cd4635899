import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY

from main_api.backends.breaker import CircuitBreaker
from main_api.backends.errors import ModelNotFound
from main_api.backends.prompt_log import PromptLog
from main_api.backends.protocol import Backend, Capabilities
from main_api.backends.resolved import ResolvedModel
from main_api.backends.router import ModelRouter, RouterOptions
from main_api.events import ChoiceFinished, ModelEvent, TextDelta, Usage, UsageReported
from shared.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    RateLimited,
    TwinportError,
    Unavailable,
    UpstreamFailed,
)
from tests.main_api.backends.fake_backend import FakeBackend, FakeRelay, answer
from tests.yardstick import small_chat_in_json

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "prompts.log"


@pytest.fixture
def prompt_log(log_path: Path) -> Iterator[PromptLog]:
    log = PromptLog(log_path)
    yield log
    log.close()


class Chain:
    """Makes a resolved model of the first backend, with the others as its fallbacks."""

    def __init__(self, prompt_log: PromptLog) -> None:
        self.prompt_log = prompt_log
        self.breaker = CircuitBreaker(failures=2, open_s=60)

    async def __call__(self, *backends: Backend) -> ResolvedModel:
        first, *others = backends
        router = ModelRouter(
            {backend.name: backend for backend in backends},
            options=RouterOptions(fallback_models=[f"{backend.name}/m" for backend in others]),
            prompt_log=self.prompt_log,
            breaker=self.breaker,
        )
        return await router.resolve(f"{first.name}/m")


@pytest.fixture
def chain(prompt_log: PromptLog) -> Chain:
    return Chain(prompt_log)


async def collect(model: ResolvedModel, into: list[ModelEvent] | None = None, **options: Any) -> list[ModelEvent]:
    events: list[ModelEvent] = [] if into is None else into
    async for event in model.stream(HELLO, **options):
        events.append(event)
    return events


def lines(log: PromptLog, path: Path) -> list[dict[str, Any]]:
    log.close()
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def test_a_turn_passes_through_and_says_who_answered(chain: Chain) -> None:
    backend = FakeBackend("a")
    model = await chain(backend)
    events = await collect(model, temperature=0.5)
    assert events == [TextDelta("from a"), ChoiceFinished("stop"), UsageReported(Usage(1, 2), model="a/m")]
    assert (model.name, model.answered_by) == ("a/m", "a/m")
    assert backend.requests[0].model == "m"
    assert backend.requests[0].options == {"temperature": 0.5}


@pytest.mark.parametrize("error", [Unavailable, UpstreamFailed, RateLimited, DeadlineExceeded])
async def test_a_failure_before_the_first_event_goes_on_to_the_next(chain: Chain, error: type[TwinportError]) -> None:
    counted = {"asked": "a", "next": "b"}
    before = REGISTRY.get_sample_value("twinport_model_fallbacks_total", counted) or 0
    model = await chain(FakeBackend("a", script=[error("broken")]), FakeBackend("b"))
    events = await collect(model)
    assert events[0] == TextDelta("from b")
    assert events[-1] == UsageReported(Usage(1, 2), model="b/m")
    assert model.answered_by == "b/m"
    assert REGISTRY.get_sample_value("twinport_model_fallbacks_total", counted) == before + 1


async def test_an_answer_without_any_event_counts_as_a_failure(chain: Chain) -> None:
    assert (await collect(await chain(FakeBackend("a", script=[]), FakeBackend("b"))))[0] == TextDelta("from b")


async def test_a_failure_after_the_first_event_is_raised(chain: Chain) -> None:
    second = FakeBackend("b")
    seen: list[ModelEvent] = []
    model = await chain(FakeBackend("a", script=[TextDelta("Half"), UpstreamFailed("broke")]), second)
    with pytest.raises(UpstreamFailed, match="broke"):
        await collect(model, into=seen)
    assert seen == [TextDelta("Half")]
    assert second.requests == []


@pytest.mark.parametrize("error", [InvalidRequest("no"), ModelNotFound("a/m", "Pull it.")])
async def test_what_is_the_requests_fault_is_not_tried_elsewhere(chain: Chain, error: TwinportError) -> None:
    second = FakeBackend("b")
    with pytest.raises(type(error)):
        await collect(await chain(FakeBackend("a", script=[error]), second))
    assert second.requests == []


async def test_a_plain_not_found_gets_openais_code(chain: Chain) -> None:
    with pytest.raises(ModelNotFound, match="`a/m` does not exist"):
        await collect(await chain(FakeBackend("a", script=[NotFound("gone")])))


async def test_when_all_fail_the_first_error_is_the_callers(chain: Chain) -> None:
    third = FakeBackend("c", script=[Unavailable("third")])
    model = await chain(
        FakeBackend("a", script=[RateLimited("first", retry_after=3)]), FakeBackend("b", script=[]), third
    )
    with pytest.raises(RateLimited, match="first"):
        await collect(model)
    assert len(third.requests) == 1


async def test_a_fallback_to_the_same_model_is_not_tried_twice(prompt_log: PromptLog) -> None:
    backend = FakeBackend("a", script=[Unavailable("off")])
    router = ModelRouter(
        {"a": backend}, options=RouterOptions(fallback_models=["a/m", "a/n", "a/n"]), prompt_log=prompt_log
    )
    with pytest.raises(Unavailable):
        await collect(await router.resolve("a/m"))
    assert [request.model for request in backend.requests] == ["m", "n"]


@pytest.mark.parametrize(
    ("lacking", "options", "param"),
    [
        (Capabilities(multiple_choices=False), {"n": 2}, "n"),
        (Capabilities(logprobs=False), {"logprobs": True}, "logprobs"),
        (
            Capabilities(json_schema=False),
            {"response_format": {"type": "json_schema", "json_schema": {}}},
            "response_format",
        ),
    ],
)
async def test_what_the_model_lacks_is_refused_by_name_before_anything_is_sent(
    chain: Chain, lacking: Capabilities, options: dict[str, Any], param: str
) -> None:
    backend = FakeRelay("a", capabilities=lacking)
    model = await chain(backend)
    with pytest.raises(InvalidRequest) as raised:
        await collect(model, **options)
    assert raised.value.param == param
    with pytest.raises(InvalidRequest):
        async with model.relay({"messages": HELLO, **options}):
            pass
    assert (backend.requests, backend.relayed) == ([], [])


async def test_a_fallback_that_lacks_what_is_asked_is_skipped(chain: Chain) -> None:
    poor = FakeBackend("b", capabilities=Capabilities(multiple_choices=False))
    model = await chain(FakeBackend("a", script=[Unavailable("off")]), poor, FakeBackend("c"))
    assert (await collect(model, n=2))[0] == TextDelta("from c")
    assert poor.requests == []


async def test_a_model_that_keeps_failing_is_left_alone(chain: Chain) -> None:
    broken = FakeBackend("a", script=[UpstreamFailed("broken")])
    model = await chain(broken, FakeBackend("b"))
    for _ in range(5):
        assert (await collect(model))[0] == TextDelta("from b")
    assert len(broken.requests) == 2


async def test_rate_limits_and_bad_requests_do_not_open_the_circuit(chain: Chain) -> None:
    for error in (RateLimited("slow down"), InvalidRequest("no")):
        backend = FakeBackend("a", script=[error])
        model = await chain(backend)
        for _ in range(5):
            with pytest.raises(type(error)):
                await collect(model)
        assert len(backend.requests) == 5


async def test_leaving_early_closes_the_backends_stream_and_is_logged(chain: Chain, log_path: Path) -> None:
    backend = FakeBackend("a", script=[TextDelta("One"), 60.0])
    model = await chain(backend)
    async with aclosing(model.stream(HELLO)) as events:
        assert await anext(events) == TextDelta("One")
    assert backend.closed_streams == 1
    (line,) = lines(chain.prompt_log, log_path)
    assert (line["answer"], line["error"]) == ("One", "broken off")


async def test_every_attempt_is_in_the_prompt_log(chain: Chain, log_path: Path) -> None:
    await collect(await chain(FakeBackend("a", script=[Unavailable("off")]), FakeBackend("b")), seed=1)
    first, second = lines(chain.prompt_log, log_path)
    assert (first["model"], first["error"], first["answer"]) == ("a/m", "service_unavailable: off", "")
    assert (second["model"], second["error"], second["answer"]) == ("b/m", None, "from b")
    assert second["messages"] == HELLO
    assert second["options"] == {"seed": 1}


async def test_messages_that_an_agent_adds_later_are_not_in_the_log_of_the_turn(chain: Chain, log_path: Path) -> None:
    messages = [*HELLO]
    model = await chain(FakeBackend("a"))
    async for _ in model.stream(messages):
        pass
    messages.append({"role": "user", "content": "Observation: 84"})
    assert lines(chain.prompt_log, log_path)[0]["messages"] == HELLO


BODY = {"model": "auto", "messages": HELLO, "stream": True, "seed": 1}


async def relayed(model: ResolvedModel) -> bytes:
    async with model.relay(BODY) as relay:
        return b"".join([chunk async for chunk in relay.chunks()])


async def test_a_relayed_answer_keeps_its_bytes_and_is_logged(chain: Chain, log_path: Path) -> None:
    backend = FakeRelay("a")
    backend.pieces = [b'data: {"choices":[{"delta":{"content":"Hi', b' there"}}]}\n\n', b"data: [DONE]\n\n"]
    model = await chain(backend)
    assert model.can_relay
    assert await relayed(model) == b"".join(piece for piece in backend.pieces if isinstance(piece, bytes))
    assert backend.relayed == [("m", BODY)]
    assert model.answered_by == "a/m"
    (line,) = lines(chain.prompt_log, log_path)
    assert (line["answer"], line["options"], line["error"]) == ("Hi there", {"stream": True, "seed": 1}, None)


async def test_a_plain_relayed_answer_is_read_whole(chain: Chain, log_path: Path) -> None:
    model = await chain(FakeRelay("a"))
    async with model.relay(BODY) as relay:
        assert relay.content_type == "text/event-stream"
        assert await relay.read() == b'{"choices":[{"message":{"content":"Hi"}}]}'
    assert lines(chain.prompt_log, log_path)[0]["answer"] == "Hi"


async def test_a_relay_that_is_refused_goes_on_to_the_next(chain: Chain) -> None:
    first, second = FakeRelay("a"), FakeRelay("b")
    first.refusal, second.pieces = Unavailable("off"), [b"second"]
    model = await chain(first, second)
    assert await relayed(model) == b"second"
    assert model.answered_by == "b/m"


async def test_a_relay_that_breaks_later_is_raised_and_logged(chain: Chain, log_path: Path) -> None:
    first, second = FakeRelay("a"), FakeRelay("b")
    first.pieces = [b"half", UpstreamFailed("broke")]
    with pytest.raises(UpstreamFailed, match="broke"):
        await relayed(await chain(first, second))
    assert second.relayed == []
    assert lines(chain.prompt_log, log_path)[0]["error"] == "upstream_error: broke"


async def test_when_no_relay_is_left_the_first_error_is_the_callers(chain: Chain) -> None:
    first, second = FakeRelay("a"), FakeRelay("b")
    first.refusal, second.refusal = RateLimited("first"), Unavailable("second")
    with pytest.raises(RateLimited, match="first"):
        await relayed(await chain(first, second))


async def test_relaying_needs_every_candidate_to_relay(chain: Chain) -> None:
    assert not (await chain(FakeBackend("a"))).can_relay
    assert not (await chain(FakeRelay("a"), FakeBackend("b"))).can_relay
    assert (await chain(FakeRelay("a"), FakeRelay("b"))).can_relay


async def test_a_chunk_costs_less_than_a_small_chat_in_json(chain: Chain) -> None:
    count = 20_000
    backend = FakeBackend("a", script=[TextDelta("word")] * count + answer())
    model = await chain(backend)

    async def seconds(stream: AsyncGenerator[ModelEvent, None]) -> float:
        started = time.thread_time()
        async with aclosing(stream) as events:
            async for _ in events:
                pass
        return time.thread_time() - started

    request = backend.requests
    await collect(model)
    bare = min([await seconds(backend.stream(request[0])) for _ in range(3)])
    whole = min([await seconds(model.stream(HELLO)) for _ in range(3)])
    assert (whole - bare) / count < small_chat_in_json()
