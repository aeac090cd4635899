"""Read OpenAI's streamed chat answers: bytes in whatever pieces the network gives, model events out.

Knows nothing of sockets. This is the hot path of streaming (`tests/main_api/backends/test_openai_wire.py` bounds its
cost), hence one pass over the lines of a read, no regular expressions, and text of one read joined into one event.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from main_api.backends.openai_wire_errors import error_from_stream
from main_api.backends.openai_wire_json import as_object
from main_api.events import (
    ChoiceFinished,
    FinishReason,
    ModelEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from shared.errors import UpstreamFailed
from shared.tools_contract import JsonObject

LONGEST_LINE: Final = 4_194_304
"""Bytes of one SSE line; a longer one is nonsense and would only fill the memory."""

_DONE: Final = b"[DONE]"
_FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class MalformedAnswer(UpstreamFailed):
    """The upstream's answer is not the OpenAI protocol, or ends in the middle."""


class SseLines:
    """Split a byte stream into the `data` of server-sent events (WHATWG HTML §9.2), ignoring their other fields."""

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        self._unfinished_size = 0
        self._data: bytes | None = None

    def feed(self, piece: bytes) -> Sequence[bytes]:
        """Return the events that `piece` completes."""
        if b"\n" not in piece:
            self._keep(piece)
            return ()
        if self._unfinished:
            piece = b"".join((*self._unfinished, piece))
            self._unfinished.clear()
            self._unfinished_size = 0
        lines = piece.split(b"\n")
        if last := lines.pop():
            self._keep(last)
        return self._events(lines)

    def close(self) -> Sequence[bytes]:
        """Return the event that the end of the stream left without its blank line, if there is one."""
        return self._events((b"".join(self._unfinished), b""))

    def _keep(self, piece: bytes) -> None:
        self._unfinished.append(piece)
        self._unfinished_size += len(piece)
        if self._unfinished_size > LONGEST_LINE:
            raise MalformedAnswer("The model's answer has a line that is too long to be one")

    def _events(self, lines: Iterable[bytes]) -> list[bytes]:
        events: list[bytes] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data:"):
                value = line[5:].strip()
                data = value if data is None else data + b"\n" + value
            elif data is not None and (not line or line == b"\r"):
                events.append(data)
                data = None
        self._data = data
        return events


class ChatStreamReader:
    """Turn one streamed chat answer into model events; a fresh one for every answer.

    `feed` and `close` raise `MalformedAnswer` for what is not the protocol and the translated error for an
    `{"error": …}` in the stream. Usage is reported once, at the end, because some upstreams send a running total.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._lines = SseLines()
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._usage: UsageReported | None = None
        self.done = False
        """True once `[DONE]` was read; the events are then complete."""

    def feed(self, piece: bytes) -> list[ModelEvent]:
        """Return the events that `piece` completes."""
        events: list[ModelEvent] = []
        for data in self._lines.feed(piece):
            self._read(data, events)
        return events

    def close(self) -> list[ModelEvent]:
        """Return what is left after the last byte. Raises if the answer broke off."""
        events: list[ModelEvent] = []
        if not self.done:
            for data in self._lines.close():
                self._read(data, events)
        if not self.done:
            self._end(events)
        return events

    def read_whole(self, body: bytes) -> list[ModelEvent]:
        """Read an answer that came as one JSON object although a stream was asked for."""
        events: list[ModelEvent] = []
        self._read(body, events)
        self._end(events)
        return events

    def _read(self, data: bytes, events: list[ModelEvent]) -> None:
        if self.done:
            return
        if data == _DONE:
            self.done = True
            self._end(events)
            return
        try:
            chunk = orjson.loads(data)
            if error := chunk.get("error"):
                raise error_from_stream(self._provider, error)
            for choice in chunk.get("choices") or ():
                self._read_choice(choice, events)
            if usage := chunk.get("usage"):
                self._usage = UsageReported(usage_of(usage), chunk.get("model") or "")
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise MalformedAnswer(f"{self._provider} sent an answer that is not the OpenAI protocol") from error

    def _read_choice(self, choice: JsonObject, events: list[ModelEvent]) -> None:
        index: int = choice.get("index") or 0
        self._open.add(index)
        delta: JsonObject = choice.get("delta") or choice.get("message") or {}
        if text := delta.get("content") or delta.get("refusal"):
            _add_text(events, text, index, choice.get("logprobs"))
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            _add_thought(events, thought, index)
        if calls := delta.get("tool_calls"):
            events.extend(_tool_call_delta(call, position, index) for position, call in enumerate(calls))
        if (reason := choice.get("finish_reason")) and index not in self._finished:
            self._finished.add(index)
            events.append(ChoiceFinished(_FINISH_REASONS.get(reason, "stop"), index))

    def _end(self, events: list[ModelEvent]) -> None:
        unfinished = self._open - self._finished
        if not self._open or (unfinished and not self.done):
            raise MalformedAnswer(f"{self._provider} broke off in the middle of its answer")
        events.extend(ChoiceFinished("stop", index) for index in sorted(unfinished))
        if self._usage is not None:
            events.append(self._usage)


def usage_of(usage: object) -> Usage:
    """Read OpenAI's `usage` object; what is missing, null or nonsense counts as 0: no answer is worth losing for it."""
    fields = as_object(usage) or {}
    prompt = as_object(fields.get("prompt_tokens_details")) or {}
    completion = as_object(fields.get("completion_tokens_details")) or {}
    return Usage(
        prompt_tokens=_count(fields.get("prompt_tokens")),
        completion_tokens=_count(fields.get("completion_tokens")),
        reasoning_tokens=_count(completion.get("reasoning_tokens")),
        cached_tokens=_count(prompt.get("cached_tokens")),
    )


def _count(value: object) -> int:
    return max(0, int(value)) if isinstance(value, int | float) else 0


def _add_text(events: list[ModelEvent], text: Any, index: int, logprobs: JsonObject | None) -> None:
    if type(text) is not str:
        raise TypeError
    if logprobs is None and events:
        last = events[-1]
        if type(last) is TextDelta and last.choice == index and last.logprobs is None:
            events[-1] = TextDelta(last.text + text, index)
            return
    events.append(TextDelta(text, index, logprobs))


def _add_thought(events: list[ModelEvent], thought: Any, index: int) -> None:
    if type(thought) is not str:
        raise TypeError
    events.append(ReasoningDelta(thought, index))


def _tool_call_delta(call: JsonObject, position: int, choice: int) -> ToolCallDelta:
    function: JsonObject = call.get("function") or {}
    index = call.get("index")
    arguments = function.get("arguments") or ""
    return ToolCallDelta(
        index=position if index is None else index,
        id=call.get("id") or None,
        name=function.get("name") or None,
        arguments=arguments if type(arguments) is str else orjson.dumps(arguments).decode(),
        choice=choice,
    )
