"""Which messages a model gets to see: stored ones made fit to send, the cut when there are too many. Pure functions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from main_api.sessions.records import StoredMessage, content_text
from shared.tools_contract import JsonObject

_SYSTEM_ROLES = {"system", "developer"}
_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_MEDIA_PART = 1_000
_ASCII_LETTERS = bytes([*range(65, 91), *range(97, 123), 32])
_NON_ASCII = bytes(range(0x80, 0x100))
_FOUR_BYTE_LEADS = bytes(range(0xF0, 0xF5))


@dataclass(frozen=True, slots=True)
class FittedHistory:
    """What is left. `cut_tokens` and `tokens` are estimates; `tokens` is above the budget where even the part which is
    never cut is: the model's own count decides whether it really is."""

    messages: tuple[JsonObject, ...]
    cut_messages: int = 0
    cut_tokens: int = 0
    tokens: int = 0


def model_messages(history: Iterable[StoredMessage], new: Sequence[JsonObject] = ()) -> list[JsonObject]:
    """Join a session's history and the caller's new messages into what a model may be sent.

    Left out of the history: answers that failed before their first word, tool calls that never got all their answers
    (providers refuse them), and answers to such calls.
    """
    stored = [entry.message for entry in history if not _is_empty_failure(entry)]
    everything = [*stored, *new]
    answered = {message.get("tool_call_id") for message in everything if message.get("role") == "tool"}
    complete = set[str]()
    for message in everything:
        ids = _call_ids(message)
        if answered.issuperset(ids):
            complete.update(ids)
    kept = (_without_open_calls(message, complete) for message in stored)
    return [*(message for message in kept if message is not None), *new]


def fit_history(messages: Sequence[JsonObject], *, max_messages: int, token_budget: int | None = None) -> FittedHistory:
    """Keep the newest messages that fit into both limits, and say what was cut.

    Never cut: system and developer messages (which do not count towards `max_messages`), the newest user message, the
    very last message. A tool call and its answers stay or go together. What is kept is one run of messages up to the
    newest, apart from those; after a cut it begins with a user message, because chat templates insist on it.
    """
    units = _units(messages)
    costs = [estimate_tokens(message) for message in messages]
    must = _untouchable(messages, units)
    kept = set(must)
    count, tokens = _count(messages, kept), sum(costs[index] for index in kept)
    for unit in reversed(units):
        new = [index for index in unit if index not in kept]
        count += _count(messages, new)
        tokens += sum(costs[index] for index in new)
        if new and (count > max_messages or (token_budget is not None and tokens > token_budget)):
            break
        kept.update(new)
    kept = _from_a_user_message(messages, units, kept, must)
    tokens = sum(costs[index] for index in kept)
    return FittedHistory(
        messages=tuple(messages[index] for index in sorted(kept)),
        cut_messages=len(messages) - len(kept),
        cut_tokens=sum(costs) - tokens,
        tokens=tokens,
    )


def estimate_tokens(message: JsonObject) -> int:
    """Estimate a message's tokens without a tokenizer, rather too high than too low.

    Text: a token per 3.5 ASCII letters or spaces, 0.6 per other ASCII character (digits and punctuation often stand
    alone), 0.5 per other UTF-8 byte, one more per character beyond the BMP (emoji). Beside cl100k and a
    65,000-entry BPE vocabulary that is 1.0–1.4 times the truth for English, German, code, JSON, Korean and emoji, 1.6
    for Chinese and Japanese, up to 2.2 for Russian; a very small vocabulary may need more than the estimate.
    Plus 4 per message, 1,000 per image, audio clip or file, and the JSON of tool calls.
    """
    tokens = _TOKENS_PER_MESSAGE + _text_tokens(content_text(message.get("content")))
    tokens += _TOKENS_PER_MEDIA_PART * _media_parts(message.get("content"))
    calls = message.get("tool_calls")
    return tokens + (_text_tokens(_json(calls)) if calls else 0)


def _text_tokens(text: str) -> int:
    if not text:
        return 0
    data = text.encode("utf-8", "replace")
    rest = data.translate(None, _ASCII_LETTERS)  # counting by deleting: one pass in C each
    other_ascii = len(rest.translate(None, _NON_ASCII))
    non_ascii = len(rest) - other_ascii
    astral = len(rest) - len(rest.translate(None, _FOUR_BYTE_LEADS)) if non_ascii else 0
    return int((len(data) - len(rest)) / 3.5 + other_ascii * 0.6 + non_ascii * 0.5 + astral) + 1


def _media_parts(content: object) -> int:
    if not isinstance(content, list):
        return 0
    parts = [cast("JsonObject", part) for part in cast("list[object]", content) if isinstance(part, dict)]
    return sum(1 for part in parts if part.get("type") not in {"text", "refusal"})


def _json(value: object) -> str:
    return orjson.dumps(value, default=str).decode("utf-8", "replace")


def _units(messages: Sequence[JsonObject]) -> list[range]:
    """Split into runs that must not be torn apart: one message, or a tool call up to the last of its answers."""
    joined = [False] * len(messages)  # with the message before
    caller: dict[object, int] = {}
    for index, message in enumerate(messages):
        for call_id in _call_ids(message):
            caller[call_id] = index
        call_id = message.get("tool_call_id")
        if message.get("role") == "tool" and isinstance(call_id, str) and call_id in caller:
            joined[caller[call_id] + 1 : index + 1] = [True] * (index - caller[call_id])
    starts = [index for index, is_joined in enumerate(joined) if not is_joined]
    return [range(start, end) for start, end in zip(starts, [*starts[1:], len(messages)], strict=True)]


def _call_ids(message: JsonObject) -> list[str]:
    calls: Any = message.get("tool_calls")
    if message.get("role") != "assistant" or not isinstance(calls, list):
        return []
    ids = (cast("JsonObject", call).get("id") for call in cast("list[object]", calls) if isinstance(call, dict))
    return [call_id for call_id in ids if isinstance(call_id, str)]


def _untouchable(messages: Sequence[JsonObject], units: Sequence[range]) -> set[int]:
    must = {index for index, message in enumerate(messages) if message.get("role") in _SYSTEM_ROLES}
    newest_user = max((index for index, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    for unit in units:
        if newest_user in unit or len(messages) - 1 in unit:
            must.update(unit)
    return must


def _count(messages: Sequence[JsonObject], indexes: Iterable[int]) -> int:
    return sum(1 for index in indexes if messages[index].get("role") not in _SYSTEM_ROLES)


def _from_a_user_message(
    messages: Sequence[JsonObject], units: Sequence[range], kept: set[int], must: set[int]
) -> set[int]:
    """Drop what stands before the first kept user message, if something was cut at all."""
    if len(kept) == len(messages):
        return kept
    result = set(kept)
    for unit in units:
        if any(messages[index].get("role") == "user" and index in kept for index in unit):
            break
        result.difference_update(index for index in unit if index not in must)
    return result


def _is_empty_failure(entry: StoredMessage) -> bool:
    return entry.role == "assistant" and entry.status != "complete" and not entry.text and not _call_ids(entry.message)


def _without_open_calls(message: JsonObject, complete: set[str]) -> JsonObject | None:
    if message.get("role") == "tool":
        return message if message.get("tool_call_id") in complete else None
    if complete.issuperset(_call_ids(message)):
        return message
    plain = {key: value for key, value in message.items() if key != "tool_calls"}
    return plain if plain.get("content") else None
