"""Fakes behind our own Protocols: a model that follows a script, and a toolbox of Python functions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from main_api.agents.collect import Collected, collect
from main_api.agents.prompts import PromptLibrary
from main_api.agents.protocol import Budget, Task
from main_api.agents.react import ReactAgent, ReactOptions
from main_api.backends.protocol import Capabilities, Message
from main_api.events import ChoiceFinished, ModelEvent, TextDelta, ToolCallDelta, Usage, UsageReported
from shared.errors import TwinportError
from shared.tools_contract import JsonObject, ToolDefinition, ToolResult

PROMPTS = PromptLibrary(Path(__file__).parents[3] / "prompts")

CALCULATOR = ToolDefinition(
    name="calculator",
    description=(
        "Calculate a mathematical expression exactly, for example 2**10 + sqrt(144), 15% of 80, 5! or log(100, 10). "
        "It also converts units, as in 5 km to miles."
    ),
    parameters={
        "type": "object",
        "properties": {"expression": {"type": "string", "minLength": 1, "maxLength": 1000}},
        "required": ["expression"],
        "additionalProperties": False,
    },
    aliases=("calc",),
)
PYTHON = ToolDefinition(
    name="python_coder",
    description="Run Python 3.11 code in a fresh, isolated sandbox. You get what it prints. Limits: 60 s.",
    parameters={
        "type": "object",
        "properties": {
            "code": {"type": "string", "minLength": 1, "maxLength": 100_000},
            "timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 60},
        },
        "required": ["code"],
        "additionalProperties": False,
    },
    aliases=("python_repl",),
)
RAG = ToolDefinition(
    name="rag",
    description="Search the user's own uploaded documents (handbooks, reports, contracts, notes, PDFs).",
    parameters={
        "type": "object",
        "properties": {"query": {"type": "string"}, "collection": {"type": "string"}},
        "required": ["query"],
        "additionalProperties": False,
    },
)
SEARCH = ToolDefinition(
    name="websearch",
    description="Search the web.",
    parameters={
        "type": "object",
        "properties": {"query": {"type": "string"}, "limit": {"type": "integer", "minimum": 1}},
        "required": ["query"],
        "additionalProperties": False,
    },
)

Script = Sequence[ModelEvent | TwinportError | float]
"""The events of one turn; a number waits that many seconds, an error is raised."""


def says(text: str, *, size: int = 5, finish: Any = "stop") -> list[ModelEvent]:
    pieces: list[ModelEvent] = [TextDelta(text[i : i + size]) for i in range(0, len(text), size)]
    return [*pieces, UsageReported(Usage(10, 5), "scripted"), ChoiceFinished(finish)]


def calls(*wanted: tuple[str, str], text: str = "") -> list[ModelEvent]:
    events: list[ModelEvent] = [TextDelta(text)] if text else []
    for index, (name, arguments) in enumerate(wanted):
        half = len(arguments) // 2
        events.append(ToolCallDelta(index, f"c{index}", name, arguments[:half]))
        events.append(ToolCallDelta(index, arguments=arguments[half:]))
    return [*events, UsageReported(Usage(10, 5), "scripted"), ChoiceFinished("tool_calls")]


class ScriptedModel:
    """Plays one script per turn and keeps what it was asked; `open_streams` counts turns that were not closed."""

    name = "fake/scripted"

    def __init__(self, *turns: Script, capabilities: Capabilities | None = None) -> None:
        self._turns = list(turns)
        self.capabilities = capabilities or Capabilities()
        self.asked: list[list[Message]] = []
        self.options: list[dict[str, Any]] = []
        self.open_streams = 0

    async def stream(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[ModelEvent]:
        self.asked.append(list(messages))
        self.options.append(options)
        script = self._turns.pop(0)
        self.open_streams += 1
        try:
            for item in script:
                await asyncio.sleep(item if isinstance(item, int | float) else 0)
                if isinstance(item, TwinportError):
                    raise item
                if not isinstance(item, int | float):
                    yield item
        finally:
            self.open_streams -= 1


Invoke = Callable[[str, JsonObject], Awaitable[ToolResult]]


class FakeToolbox:
    """Answers with `answer` and keeps the calls."""

    def __init__(self, answer: Invoke | str = "84") -> None:
        self._answer = answer
        self.calls: list[tuple[str, JsonObject]] = []
        self.workspaces: list[str | None] = []
        self.cancelled = 0

    async def definitions(self, allowed: Sequence[str] | None = None) -> list[ToolDefinition]:
        return [CALCULATOR, PYTHON]

    async def invoke(self, name: str, arguments: JsonObject, *, workspace: str | None = None) -> ToolResult:
        self.calls.append((name, arguments))
        self.workspaces.append(workspace)
        if isinstance(self._answer, str):
            return ToolResult(ok=True, content=self._answer)
        try:
            return await self._answer(name, arguments)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def task(model: ScriptedModel, request: str = "Calculate 12 * 7", **fields: Any) -> Task:
    fields.setdefault("toolbox", FakeToolbox())
    fields.setdefault("tools", (CALCULATOR, PYTHON))
    fields.setdefault("messages", [{"role": "user", "content": request}])
    return Task(model=model, **fields)


def react(**options: Any) -> ReactAgent:
    budget = Budget(**{key: options.pop(key) for key in list(options) if key in Budget.__dataclass_fields__})
    return ReactAgent(PROMPTS, ReactOptions(budget=budget, **options))


async def answer(the_task: Task, **options: Any) -> Collected:
    return await collect(react(**options).run(the_task))
