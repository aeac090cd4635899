"""One model turn inside the ReAct loop, and the Protocol of the three ways to hold the conversation.

A dialogue knows the wire: how tools are offered, how a call and an answer are told apart, how results go back. The
loop in `react.py` knows the rules: budgets, repetition, retries, endings.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from main_api.agents.observations import Observation
from main_api.agents.tool_calls import RequestedCall
from main_api.events import Event, FinishReason


@dataclass(slots=True)
class Turn:
    """What a turn came to. A dialogue fills it while it yields the turn's events.

    Exactly one of these is set at the end: `answered`, `calls`, or `problem` (what the model must do better, in words
    for the model). `answer` is what went out as text so far, also when the turn was cut short.
    """

    number: int
    answer: str = ""
    answered: bool = False
    calls: list[RequestedCall] = field(default_factory=list[RequestedCall])
    problem: str | None = None
    looped: bool = False
    written: str = ""
    """The model's own text, as it goes back into the conversation."""
    finish_reason: FinishReason = "stop"


class Dialogue(Protocol):
    """A conversation with a model about tools, in one of the ways that models understand."""

    def ask(self, turn: Turn) -> AsyncIterator[Event]:
        """Let the model take a step: thoughts are `ReasoningDelta`, only the final answer is `TextDelta`."""
        ...

    def ask_for_answer(self, turn: Turn, reason: str) -> AsyncIterator[Event]:
        """Let the model answer without tools, because of `reason`."""
        ...

    def record(self, turn: Turn, observations: Sequence[Observation]) -> None:
        """Put the calls of a turn and their results into the conversation."""
        ...

    def record_problem(self, turn: Turn) -> None:
        """Tell the model what was wrong with its turn."""
        ...

    def seen(self) -> str:
        """Return all text that the model was shown."""
        ...
