"""Puts the pieces of one model turn together again, from our events or from an upstream's OpenAI bytes.

For the prompt log only: it is lenient, keeps what it understands and never raises on what it does not.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from main_api.events import ChoiceFinished, ModelEvent, ReasoningDelta, TextDelta, ToolCallDelta, UsageReported
from shared.tools_contract import JsonObject


@dataclass(slots=True)
class Answer:
    """What a turn answered. With `n` choices the texts follow each other, each on a line of its own."""

    texts: dict[int, str] = field(default_factory=dict[int, str])
    reasoning: str = ""
    calls: dict[tuple[int, int], JsonObject] = field(default_factory=dict[tuple[int, int], JsonObject])
    finish_reason: str | None = None
    usage: JsonObject | None = None

    @property
    def text(self) -> str:
        return "\n".join(self.texts.values())

    @property
    def tool_calls(self) -> list[JsonObject]:
        return list(self.calls.values())

    def add_text(self, choice: int, text: str) -> None:
        self.texts[choice] = self.texts.get(choice, "") + text

    def add_call(self, choice: int, index: int, *, call_id: str | None, name: str | None, arguments: str) -> None:
        call = self.calls.setdefault((choice, index), {"id": None, "name": None, "arguments": ""})
        call["id"] = call_id or call["id"]
        call["name"] = name or call["name"]
        call["arguments"] += arguments


def answer_of_events(events: Iterable[ModelEvent]) -> Answer:
    """Collect a streamed turn."""
    answer = Answer()
    for event in events:
        match event:
            case TextDelta(text=text, choice=choice):
                answer.add_text(choice, text)
            case ReasoningDelta(text=text):
                answer.reasoning += text
            case ToolCallDelta(index=index, id=call_id, name=name, arguments=arguments, choice=choice):
                answer.add_call(choice, index, call_id=call_id, name=name, arguments=arguments)
            case ChoiceFinished(finish_reason=reason):
                answer.finish_reason = reason
            case UsageReported(usage=usage):
                answer.usage = {
                    "prompt_tokens": usage.prompt_tokens,
                    "completion_tokens": usage.completion_tokens,
                    "reasoning_tokens": usage.reasoning_tokens,
                    "cached_tokens": usage.cached_tokens,
                }
    return answer


def answer_of_bytes(chunks: Sequence[bytes]) -> Answer:
    """Collect a relayed answer: a `chat.completion` object, or the SSE stream of its chunks."""
    answer = Answer()
    for part in _objects(b"".join(chunks)):
        answer.usage = part.get("usage") or answer.usage
        for choice in _dicts(part.get("choices")):
            index: int = choice.get("index") or 0
            message: JsonObject = choice.get("delta") or choice.get("message") or {}
            answer.add_text(index, message.get("content") or "")
            answer.reasoning += message.get("reasoning_content") or message.get("reasoning") or ""
            answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
            for position, call in enumerate(_dicts(message.get("tool_calls"))):
                function: JsonObject = call.get("function") or {}
                answer.add_call(
                    index,
                    call.get("index", position),
                    call_id=call.get("id"),
                    name=function.get("name"),
                    arguments=function.get("arguments") or "",
                )
    return answer


def _objects(body: bytes) -> Iterator[JsonObject]:
    whole = _object(body)
    if whole is not None:
        yield whole
        return
    for line in body.splitlines():
        if line.startswith(b"data:") and (parsed := _object(line[5:])) is not None:
            yield parsed


def _object(text: bytes) -> JsonObject | None:
    try:
        parsed: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None  # pyright: ignore[reportUnknownVariableType]


def _dicts(items: Any) -> list[JsonObject]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []  # pyright: ignore
