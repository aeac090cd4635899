"""The plain answer is the collected stream: gather a run's events into what a non-streaming dialect renders."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from main_api.events import (
    ChoiceFinished,
    Event,
    FinishReason,
    Notice,
    PlanMade,
    ReasoningDelta,
    RunFinished,
    SourceFound,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from shared.tools_contract import Artifact, JsonObject, Source, ToolResult


@dataclass(slots=True)
class CollectedCall:
    """A call of a client-side tool, put together from its pieces."""

    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class CollectedChoice:
    """One of the `n` answers. `logprobs` is OpenAI's object with its lists joined, None when none came.

    `reasoned_in` is the step that the end of `reasoning` belongs to.
    """

    text: str = ""
    reasoning: str = ""
    reasoned_in: int = 0
    tool_calls: dict[int, CollectedCall] = field(default_factory=dict[int, CollectedCall])
    finish_reason: FinishReason | None = None
    logprobs: JsonObject | None = None


@dataclass(slots=True)
class ToolRun:
    """One call of a server-side tool; `result` None while it runs."""

    call_id: str
    name: str
    arguments: JsonObject
    step: int
    result: ToolResult | None = None


@dataclass(slots=True)
class Collected:
    """A run so far, or as it ended. `usage` is what was counted so far; `finished` says whether `RunFinished` came."""

    choices: dict[int, CollectedChoice] = field(default_factory=dict[int, CollectedChoice])
    tool_runs: list[ToolRun] = field(default_factory=list[ToolRun])
    sources: list[Source] = field(default_factory=list[Source])
    artifacts: list[Artifact] = field(default_factory=list[Artifact])
    notices: list[Notice] = field(default_factory=list[Notice])
    plan: tuple[str, ...] = ()
    steps: int = 0
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    finish_reason: FinishReason | None = None

    @property
    def finished(self) -> bool:
        return self.finish_reason is not None

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choice(0).text

    @property
    def reasoning(self) -> str:
        return self.choice(0).reasoning

    def choice(self, index: int) -> CollectedChoice:
        return self.choices.setdefault(index, CollectedChoice())

    def add(self, event: Event) -> None:  # noqa: C901 - one case per kind of event, nothing nested
        """Take in the next event."""
        match event:
            case TextDelta():
                choice = self.choice(event.choice)
                choice.text += event.text
                choice.logprobs = _joined(choice.logprobs, event.logprobs)
            case ReasoningDelta():
                self._add_reasoning(event)
            case ToolCallDelta():
                self._add_call_piece(event)
            case ChoiceFinished():
                self.choice(event.choice).finish_reason = event.finish_reason
            case UsageReported():
                self.usage, self.model = self.usage + event.usage, event.model or self.model
            case RunFinished():
                self.usage, self.model = event.usage, event.model or self.model
                self.finish_reason = event.finish_reason
            case PlanMade():
                self.plan = event.steps
            case StepStarted():
                self.steps = event.number
            case ToolCallStarted():
                self.tool_runs.append(ToolRun(event.call_id, event.name, event.arguments, self.steps))
            case ToolCallFinished():
                self._finish_tool_run(event)
            case SourceFound():
                self.sources.append(event.source)
            case Notice():
                self.notices.append(event)

    def _add_reasoning(self, event: ReasoningDelta) -> None:
        """Keep the thoughts of a new step off those of the one before."""
        choice = self.choice(event.choice)
        if choice.reasoned_in != self.steps and choice.reasoning and not choice.reasoning.endswith("\n"):
            choice.reasoning += "\n"
        choice.reasoning += event.text
        choice.reasoned_in = self.steps

    def _add_call_piece(self, event: ToolCallDelta) -> None:
        call = self.choice(event.choice).tool_calls.setdefault(event.index, CollectedCall())
        call.id = call.id or event.id or ""
        call.name = call.name or event.name or ""
        call.arguments += event.arguments

    def _finish_tool_run(self, event: ToolCallFinished) -> None:
        self.artifacts.extend(event.result.artifacts)
        for run in self.tool_runs:
            if run.call_id == event.call_id and run.result is None:
                run.result = event.result
                return


async def collect(events: AsyncIterator[Event]) -> Collected:
    """Read a run to its end. Errors of the run are raised."""
    collected = Collected()
    async for event in events:
        collected.add(event)
    return collected


def _joined(so_far: JsonObject | None, more: JsonObject | None) -> JsonObject | None:
    if so_far is None or more is None:
        return so_far or more
    merged: dict[str, Any] = {**so_far}
    for key, value in more.items():
        before = merged.get(key)
        merged[key] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else value or before
    return merged
