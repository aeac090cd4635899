"""The one stream of events that backends and agents produce and every dialect renders.

A backend yields `ModelEvent`s; an agent yields those of them that reach the caller, and its own. The order is free
except that `RunFinished` is last and comes exactly once. Events are frozen, so several readers may share them.
"""

from dataclasses import dataclass
from typing import Any, Literal

from shared.tools_contract import JsonObject, Source, ToolResult

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
"""OpenAI's values. A spent budget of an agent is `length`."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model turn, or of a whole run when added up."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer. `logprobs` is OpenAI's object for these tokens, when asked for."""

    text: str
    choice: int = 0
    logprobs: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of the model's thinking; never part of the answer."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a call that the model asks for: `id` and `name` come with the first piece, `arguments` in pieces."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ChoiceFinished:
    """One of the `n` choices of a model turn is complete."""

    finish_reason: FinishReason
    choice: int = 0


@dataclass(frozen=True, slots=True)
class UsageReported:
    """The tokens of one model turn as the backend counted them."""

    usage: Usage
    model: str = ""


@dataclass(frozen=True, slots=True)
class PlanMade:
    """An agent decided on its steps."""

    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepStarted:
    """An agent begins its step `number` (from 1)."""

    number: int
    title: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A server-side tool is being called."""

    call_id: str
    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class ToolCallFinished:
    """A server-side tool answered, with success or not."""

    call_id: str
    name: str
    result: ToolResult


@dataclass(frozen=True, slots=True)
class SourceFound:
    """A page or document that the answer draws on."""

    source: Source


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the caller should know that is not part of the answer, e.g. `tools_unavailable`, `history_trimmed`."""

    code: str
    message: str
    details: Any = None


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over. `usage` is the sum over all model turns."""

    finish_reason: FinishReason
    usage: Usage = Usage()
    model: str = ""


ModelEvent = TextDelta | ReasoningDelta | ToolCallDelta | ChoiceFinished | UsageReported
Event = ModelEvent | PlanMade | StepStarted | ToolCallStarted | ToolCallFinished | SourceFound | Notice | RunFinished
