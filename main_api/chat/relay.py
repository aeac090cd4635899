"""The short way: an upstream's OpenAI answer goes to the caller byte for byte when nothing has to change.

It serves plain completions that are not kept: no agent, no session, no server-side tool. Fields that we do not know
survive, and a chunk costs a search for its token counts instead of a parse and a rendering. See
deploy/decisions/0005-relay.md.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson

from main_api.backends.openai_wire import LONGEST_LINE, usage_of
from main_api.backends.openai_wire_errors import error_from_stream
from main_api.backends.openai_wire_json import as_list, as_object
from main_api.backends.resolved import ResolvedModel
from main_api.chat.accounting import Accounting
from main_api.chat.call import ChatCall
from main_api.events import Usage
from shared.errors import TwinportError, UpstreamFailed
from shared.tools_contract import JsonObject

_USAGE_MARK = b'"usage"'
_ERROR_MARK = b'"error"'
_DONE_MARK = b"[DONE]"
_DONE_LINES = (b"data: [DONE]", b"data:[DONE]")
_DONE = b"data: [DONE]\n\n"


class RelayRun:
    """An accepted call whose answer is relayed."""

    def __init__(self, call: ChatCall, *, model: ResolvedModel, accounting: Accounting) -> None:
        self._body: JsonObject = {"messages": list(call.messages), **call.options}
        self._model = model
        self._accounting = accounting

    async def answer(self) -> bytes:
        """Return the upstream's whole answer. Raises the tree of `shared.errors`."""
        with self._accounting.run() as entry:
            async with self._model.relay(self._body) as answer:
                entry.model = self._model.answered_by or entry.model
                body = await answer.read()
            entry.complete(usage_of(_whole(body).get("usage")))
        return body

    async def frames(self, *, include_usage: bool) -> AsyncGenerator[bytes, None]:
        """Yield the upstream's SSE events, whole, without the usage-only one unless the caller asked for it."""
        body = {**self._body, "stream": True, "stream_options": {"include_usage": True}}
        with self._accounting.run() as entry:
            async with self._model.relay(body) as answer:
                entry.model = self._model.answered_by or entry.model
                passage = _Passage(self._model.name, include_usage=include_usage)
                streamed = answer.content_type.startswith("text/event-stream")
                chunks = answer.chunks() if streamed else _as_stream(await answer.read())
                async for frame in passage.frames(chunks):
                    entry.estimate = passage.events
                    yield frame
            entry.complete(passage.usage)


class _Passage:
    """Lets whole SSE events through, keeps the usage that we asked for from callers who did not, and ends the stream
    in our own words where the upstream reports an error in it: its words may describe its machines."""

    def __init__(self, model: str, *, include_usage: bool) -> None:
        self._model = model
        self._include_usage = include_usage
        self.usage: Usage | None = None
        self.events = 0

    async def frames(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        rest, done, failure = b"", False, None
        async for chunk in chunks:
            rest += chunk
            if b"\r" in rest:
                rest = rest.replace(b"\r\n", b"\n")
            end = rest.rfind(b"\n\n") + 2
            if end < 2:
                self._refuse_endless(rest)
                continue
            whole, rest = rest[:end], rest[end:]
            self.events += whole.count(b"\n\n")
            done = done or _says_done(whole)
            if _USAGE_MARK in whole or _ERROR_MARK in whole:
                whole, failure = self._sifted(whole)
            if whole:
                yield whole
            if failure is not None:
                raise failure
        if not done and not _says_done(rest):
            raise UpstreamFailed(f"{self._model} broke off in the middle of an answer.")
        if not done:  # the blank line after it is missing
            yield _DONE

    def _sifted(self, whole: bytes) -> tuple[bytes, TwinportError | None]:
        """Return the events that go on, and the error that ends them."""
        passed: list[bytes] = []
        for event in whole.removesuffix(b"\n\n").split(b"\n\n"):
            chunk = _parsed(event) if _USAGE_MARK in event or _ERROR_MARK in event else None
            if chunk is not None and chunk.get("error"):
                return b"".join(passed), error_from_stream(self._model, chunk["error"])
            if chunk is None or not self._is_withheld(chunk):
                passed.append(event + b"\n\n")
        return b"".join(passed), None

    def _is_withheld(self, chunk: JsonObject) -> bool:
        usage = as_object(chunk.get("usage"))
        if usage is None:
            return False
        self.usage = usage_of(usage)
        return not self._include_usage and not chunk.get("choices")

    def _refuse_endless(self, rest: bytes) -> None:
        if len(rest) > LONGEST_LINE:
            raise UpstreamFailed(f"{self._model} sent an event that is too long to be one.")


def _says_done(events: bytes) -> bool:
    """Find the closing mark as a line of its own: a text that holds it is JSON, which has no line breaks."""
    return _DONE_MARK in events and any(line.startswith(_DONE_LINES) for line in events.split(b"\n"))


def _parsed(event: bytes) -> JsonObject | None:
    data = b"\n".join(line[5:] for line in event.split(b"\n") if line.startswith(b"data:"))
    try:
        return as_object(orjson.loads(data))
    except orjson.JSONDecodeError:
        return None


def _whole(body: bytes) -> JsonObject:
    try:
        answer = as_object(orjson.loads(body))
    except orjson.JSONDecodeError:
        answer = None
    if answer is None:
        raise UpstreamFailed("The model's answer is not a JSON object.")
    return answer


async def _as_stream(body: bytes) -> AsyncGenerator[bytes, None]:
    """Make a stream of a whole answer: some servers give one although they were asked for a stream."""
    answer = _whole(body)
    choices = [_as_delta(choice) for choice in map(as_object, as_list(answer.get("choices")) or ()) if choice]
    usage = answer.pop("usage", None)
    parts: list[JsonObject] = [{"choices": choices}, *([{"choices": [], "usage": usage}] if usage else [])]
    for part in parts:
        yield b"data: " + orjson.dumps({**answer, "object": "chat.completion.chunk", **part}) + b"\n\n"
    yield _DONE


def _as_delta(choice: JsonObject) -> JsonObject:
    delta: dict[str, Any] = dict(as_object(choice.pop("message", None)) or {})
    if calls := as_list(delta.get("tool_calls")):
        delta["tool_calls"] = [{"index": index, **(as_object(call) or {})} for index, call in enumerate(calls)]
    return {**choice, "delta": delta}
