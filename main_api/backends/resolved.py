"""One model as the rest of the process asks it: with fallbacks, a circuit breaker and the prompt log around it.

A backend that fails before its first event is followed by the next candidate; after the first event its error is
raised, never hidden. Who answered is in `answered_by` and in `UsageReported.model`. Answers are relayed as bytes only
when every candidate can be relayed (`can_relay`), so that both ways have the same fallbacks.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from prometheus_client import Counter

from main_api.backends.breaker import CircuitBreaker
from main_api.backends.errors import ModelNotFound
from main_api.backends.prompt_log import PromptLog, Turn
from main_api.backends.protocol import Backend, Capabilities, Message, ModelRequest, RelayBackend, RelayedAnswer
from main_api.events import ModelEvent, UsageReported
from shared.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    RateLimited,
    TwinportError,
    Unavailable,
    UpstreamFailed,
)
from shared.logging import get_logger
from shared.tools_contract import JsonObject

_log = get_logger("model")

_FALLBACKS = Counter("twinport_model_fallbacks_total", "Turns that went on to the next model", ["asked", "next"])

_LONGEST_RECORD = 8 * 2**20

WORTH_ANOTHER_MODEL = (Unavailable, UpstreamFailed, RateLimited, DeadlineExceeded)
"""Failures of a backend, not of the request: another one may well answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that may answer. `public` is its public name, `model` the backend's own.

    `relay` is the backend again if it can relay: asking that of a Protocol each time costs more than the rest.
    """

    public: str
    backend: Backend
    relay: RelayBackend | None
    model: str
    capabilities: Capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all resolved models of a process share. `locate` finds a fallback by name, None if there is none."""

    breaker: CircuitBreaker
    prompt_log: PromptLog
    locate: Callable[[str], Awaitable[Candidate | None]]


class ResolvedModel:
    """A `ChatModel` for one run: ask it for a turn as often as needed, and as events or as bytes."""

    def __init__(
        self, primary: Candidate, *, fallbacks: Sequence[str] = (), can_relay: bool = False, around: Surroundings
    ) -> None:
        self._primary = primary
        self._fallbacks = fallbacks
        self._around = around
        self.can_relay = can_relay
        self.answered_by: str | None = None

    @property
    def name(self) -> str:
        return self._primary.public

    @property
    def capabilities(self) -> Capabilities:
        return self._primary.capabilities

    async def stream(self, messages: Sequence[Message], **options: Any) -> AsyncGenerator[ModelEvent, None]:
        """Run one turn; see `Backend.stream`. Raises `InvalidRequest` for what the model lacks, before sending it."""
        require(self._primary.capabilities, options, self._primary.public)
        way = _Way(self._primary)
        while way.candidate:
            began = False
            try:
                async with aclosing(self._attempt(way.candidate, messages, options)) as events:
                    async for event in events:
                        began = True
                        yield event
                    return
            except WORTH_ANOTHER_MODEL as error:
                if began:
                    raise
                await self._go_on(way, options, error)
        raise way.failure or UpstreamFailed("No model could be asked.")

    @asynccontextmanager
    async def relay(self, body: JsonObject) -> AsyncGenerator[RelayedAnswer]:
        """Send an OpenAI body and hand the good answer over as bytes; see `RelayBackend.relay`."""
        require(self._primary.capabilities, body, self._primary.public)
        way = _Way(self._primary)
        while way.candidate:
            async with AsyncExitStack() as stack:
                try:
                    answer = await stack.enter_async_context(self._relayed(way.candidate, body))
                except WORTH_ANOTHER_MODEL as error:
                    await self._go_on(way, body, error)
                    continue
                yield answer
                return
        raise way.failure or UpstreamFailed("No model could be asked.")

    async def _attempt(
        self, candidate: Candidate, messages: Sequence[Message], options: Mapping[str, Any]
    ) -> AsyncGenerator[ModelEvent, None]:
        turn = Turn(candidate.public, tuple(messages), options)  # an agent goes on adding to its list
        record = turn.events.append
        request = ModelRequest(model=candidate.model, messages=messages, options=options)
        async with self._watched(candidate, turn):
            events = candidate.backend.stream(request)
            try:
                async for event in events:
                    if not turn.events:
                        self._answers(candidate)
                    if type(event) is UsageReported:
                        event = replace(event, model=candidate.public)  # noqa: PLW2901
                    record(event)
                    yield event
            finally:
                await _close(events)
            if not turn.events:
                raise UpstreamFailed(f"{candidate.public} ended without an answer; try again.")

    @asynccontextmanager
    async def _relayed(self, candidate: Candidate, body: JsonObject) -> AsyncGenerator[RelayedAnswer]:
        if candidate.relay is None:
            raise UpstreamFailed(f"{candidate.public} cannot be relayed.")
        options = {name: value for name, value in body.items() if name not in {"messages", "model"}}
        turn = Turn(candidate.public, tuple(body.get("messages") or ()), options)
        async with self._watched(candidate, turn), candidate.relay.relay(candidate.model, body) as answer:
            self._answers(candidate)
            yield _RecordedAnswer(answer, turn.chunks) if self._around.prompt_log.enabled else answer

    @asynccontextmanager
    async def _watched(self, candidate: Candidate, turn: Turn) -> AsyncGenerator[None]:
        """Tell the breaker and the prompt log how one attempt ended."""
        breaker = self._around.breaker
        probing = breaker.enter(candidate.public)
        turn.error = "broken off"  # what stays if the caller leaves
        try:
            yield
            turn.error = None
        except TwinportError as error:
            turn.error = f"{error.code}: {error.message}"
            if isinstance(error, WORTH_ANOTHER_MODEL) and not isinstance(error, RateLimited):
                breaker.failed(candidate.public, error)
            if isinstance(error, NotFound) and not isinstance(error, ModelNotFound):
                raise ModelNotFound(candidate.public, error.message) from error
            raise
        finally:
            if probing:
                breaker.abandoned(candidate.public)
            self._around.prompt_log.write(turn)

    def _answers(self, candidate: Candidate) -> None:
        self.answered_by = candidate.public
        self._around.breaker.succeeded(candidate.public)

    async def _go_on(self, way: "_Way", options: Mapping[str, Any], failure: TwinportError) -> None:
        """Move to the next fallback that exists, was not tried and can do what is asked, or to None."""
        way.failure = way.failure or failure
        for name in self._fallbacks:
            candidate = await self._around.locate(name)
            if candidate is None or candidate.public in way.tried:
                continue
            way.tried.add(candidate.public)
            try:
                require(candidate.capabilities, options, candidate.public)
            except InvalidRequest as error:
                _log.warning("fallback skipped", model=candidate.public, reason=error.message)
                continue
            _log.warning("fallback", asked=self.name, next=candidate.public, code=failure.code, reason=failure.message)
            _FALLBACKS.labels(self._primary.backend.name, candidate.backend.name).inc()
            way.candidate = candidate
            return
        way.candidate = None


class _Way:
    """How far one turn has come along the candidates; `failure` is the first one, that of the model asked for."""

    def __init__(self, primary: Candidate) -> None:
        self.candidate: Candidate | None = primary
        self.tried = {primary.public}
        self.failure: TwinportError | None = None


class _RecordedAnswer:
    """A relayed answer whose bytes are kept for the prompt log, which parses them in its own thread.

    Of an endless answer the beginning is kept, some forty thousand tokens.
    """

    def __init__(self, answer: RelayedAnswer, chunks: list[bytes]) -> None:
        self._answer = answer
        self._chunks = chunks
        self._room = _LONGEST_RECORD

    @property
    def content_type(self) -> str:
        return self._answer.content_type

    async def read(self) -> bytes:
        body = await self._answer.read()
        self._chunks.append(body)
        return body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        record = self._chunks.append
        async for chunk in self._answer.chunks():
            if self._room > 0:
                self._room -= len(chunk)
                record(chunk)
            yield chunk


def require(capabilities: Capabilities, options: Mapping[str, Any], model: str) -> None:
    """Raise `InvalidRequest` naming the first field of a request that a model with these capabilities lacks."""
    if (options.get("n") or 1) > 1 and not capabilities.multiple_choices:
        raise InvalidRequest(f"`{model}` gives one choice per request; leave out `n`.", param="n")
    if not capabilities.logprobs and (options.get("logprobs") or options.get("top_logprobs")):
        raise InvalidRequest(f"`{model}` does not give `logprobs`; leave it out.", param="logprobs")
    wanted: Any = options.get("response_format")
    if not capabilities.json_schema and isinstance(wanted, dict) and "json_schema" in wanted.values():  # pyright: ignore[reportUnknownMemberType]
        raise InvalidRequest(
            f"`{model}` cannot keep to a JSON schema; use another model or `json_object`.", param="response_format"
        )


async def _close(events: AsyncIterator[ModelEvent]) -> None:
    if isinstance(events, AsyncGenerator):
        await events.aclose()
