"""Put the messages of a run together: the caller's conversation with the agent's instructions, and the steps so far."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from main_api.backends.protocol import Message

_SYSTEM_ROLES = frozenset({"system", "developer"})
_CHARS_PER_TOKEN = 3
"""Cautious for English; only used to decide when old steps are left out of a window of known size."""


def text_of(message: Message) -> str:
    """Return the text of a message whose content is a string or a list of parts."""
    content: Any = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = cast("list[Any]", content)
    texts = [cast("dict[str, Any]", part).get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def last_request(messages: Iterable[Message]) -> str:
    """Return the text of the last message of the user."""
    requests = [text_of(message) for message in messages if message.get("role") == "user"]
    return requests[-1] if requests else ""


def with_instructions(messages: Sequence[Message], instructions: str) -> list[Message]:
    """Begin with one system message: the caller's own, whole, then `instructions`.

    Many chat templates accept a single system message, and only at the start.
    """
    leading = 0
    while leading < len(messages) and messages[leading].get("role") in _SYSTEM_ROLES:
        leading += 1
    own = [text for text in map(text_of, messages[:leading]) if text.strip()]
    return [{"role": "system", "content": "\n\n".join([*own, instructions])}, *messages[leading:]]


def recent_exchanges(messages: Sequence[Message], count: int) -> list[Message]:
    """Return the leading system messages and what follows from the last-but-`count` message of the user on."""
    system = [message for message in messages if message.get("role") in _SYSTEM_ROLES]
    rest = [message for message in messages if message.get("role") not in _SYSTEM_ROLES]
    requests = [index for index, message in enumerate(rest) if message.get("role") == "user"]
    return [*system, *(rest[requests[-count] :] if len(requests) > count else rest)]


class Transcript:
    """The conversation and the steps of a run. `context_length` is the model's window in tokens, None if unknown."""

    def __init__(self, messages: Sequence[Message], *, context_length: int | None) -> None:
        self._start = list(messages)
        self._steps: list[list[Message]] = []
        self._room = context_length * 3 // 4 * _CHARS_PER_TOKEN if context_length else None

    def add_step(self, messages: Sequence[Message]) -> None:
        self._steps.append(list(messages))

    def messages(self) -> list[Message]:
        """Return what the model is shown: all of it, or without the oldest steps where the window is too small."""
        steps = self._steps
        while self._room is not None and len(steps) > 1 and self._size(steps) > self._room:
            steps = steps[1:]
        return [*self._start, *(message for step in steps for message in step)]

    def text(self) -> str:
        """Return all text so far, to tell what a model copied from what it made up."""
        everything = [*self._start, *(message for step in self._steps for message in step)]
        return "\n".join(map(text_of, everything))

    def _size(self, steps: list[list[Message]]) -> int:
        shown = [*self._start, *(message for step in steps for message in step)]
        return sum(len(text_of(message)) + len(str(message.get("tool_calls", ""))) for message in shown)
