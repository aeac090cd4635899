"""The short way: an upstream's OpenAI answer goes to the caller byte for byte when nothing has to change.

It serves plain completions that are not kept: no agent, no session, no server-side tool. Fields that we do not know
survive, and a chunk costs a search for its token counts instead of a parse and a rendering. See
deploy/decisions/0005-relay.md.
"""

from collections.abc import AsyncGenerator, AsyncIterator

import orjson

from main_api.backends.openai_wire import usage_of
from main_api.backends.openai_wire_json import as_object
from main_api.backends.resolved import ResolvedModel
from main_api.chat.accounting import Accounting
from main_api.chat.call import ChatCall
from main_api.events import Usage
from shared.errors import UpstreamFailed
from shared.tools_contract import JsonObject

_USAGE_MARK = b'"usage"'
_DONE_MARK = b"data: [DONE]"


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
                body = await answer.read()
            entry.complete(_usage_of_answer(body))
        return body

    async def frames(self, *, include_usage: bool) -> AsyncGenerator[bytes, None]:
        """Yield the upstream's SSE events, whole, without the usage-only one unless the caller asked for it."""
        body = {**self._body, "stream": True, "stream_options": {"include_usage": True}}
        with self._accounting.run() as entry:
            async with self._model.relay(body) as answer:
                passage = _Passage(include_usage=include_usage)
                async for frame in passage.frames(answer.chunks()):
                    entry.seen(passage.events)
                    yield frame
            entry.complete(passage.usage)


class _Passage:
    """Lets whole SSE events through and keeps the usage that we asked for from callers who did not."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self.usage: Usage | None = None
        self.events = 0

    async def frames(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        rest, done = b"", False
        async for chunk in chunks:
            rest += chunk
            if b"\r" in rest:
                rest = rest.replace(b"\r\n", b"\n")
            end = rest.rfind(b"\n\n") + 2
            if end < 2:
                continue
            whole, rest = rest[:end], rest[end:]
            self.events += whole.count(b"\n\n")
            done = done or _DONE_MARK in whole
            if _USAGE_MARK in whole:
                whole = self._without_usage(whole)
            if whole:
                yield whole
        if not done:
            raise UpstreamFailed("The model broke off in the middle of an answer.")

    def _without_usage(self, whole: bytes) -> bytes:
        events = whole.removesuffix(b"\n\n").split(b"\n\n")
        return b"".join(event + b"\n\n" for event in events if not self._is_withheld(event))

    def _is_withheld(self, event: bytes) -> bool:
        if _USAGE_MARK not in event:
            return False
        try:
            chunk = as_object(orjson.loads(event.removeprefix(b"data:"))) or {}
        except orjson.JSONDecodeError:
            return False
        if usage := as_object(chunk.get("usage")):
            self.usage = usage_of(usage)
        return not self._include_usage and not chunk.get("choices")


def _usage_of_answer(body: bytes) -> Usage:
    try:
        answer = as_object(orjson.loads(body))
    except orjson.JSONDecodeError:
        answer = None
    if answer is None:
        raise UpstreamFailed("The model's answer is not a JSON object.")
    return usage_of(as_object(answer.get("usage")) or {})
