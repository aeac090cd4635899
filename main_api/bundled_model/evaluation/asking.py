"""Ask the model as the product asks it: plain turns, turns under a prompt of `prompts/`, and ReAct steps by the
product's own dialogue."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from main_api.agents.arguments import ArgumentFitter, BadArguments
from main_api.agents.collect import collect
from main_api.agents.conversation import Transcript, last_request
from main_api.agents.observations import Observation
from main_api.agents.prompts import PromptLibrary
from main_api.agents.protocol import Task
from main_api.agents.react_setup import offered, opening, turn_options
from main_api.agents.react_steps import StepDialogue
from main_api.agents.turn import Turn
from main_api.backends.engine import EngineStopped
from main_api.backends.protocol import ChatModel, Message
from main_api.events import ReasoningDelta
from shared.errors import InvalidRequest, UpstreamFailed
from shared.tools_contract import JsonObject, ToolDefinition

LONG_ANSWER: Final = 400
"""Tokens for what may be longer than the engine's default allows: plans and summaries."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A plain turn. `problem` says why there is none; it stands in the text too, to be seen among the failures."""

    text: str
    calls: tuple[tuple[str, str], ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A ReAct step: a call of `tool` with `arguments` (`fitted`: as the product would send them, None if it would
    not), or an `answer`. Neither of them where the step could not be used. `written` is the model's own text."""

    written: str
    thought: str = ""
    tool: str | None = None
    arguments: Any = None
    fitted: JsonObject | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Asker:
    """What the skills ask with."""

    model: ChatModel
    prompts: PromptLibrary

    async def chat(self, messages: Sequence[Message], **options: Any) -> Reply:
        """Run one plain turn. What the engine refuses or cannot read is a reply that fits nothing."""
        try:
            choice = (await collect(self.model.stream(messages, **options))).choice(0)
        except EngineStopped:
            raise
        except (InvalidRequest, UpstreamFailed) as error:
            return Reply(f"({error.code}: {error.message})", problem=error.code)
        calls = tuple((call.name, call.arguments) for _, call in sorted(choice.tool_calls.items()))
        return Reply(choice.text, calls)

    async def instructed(self, prompt: str, text: str, **options: Any) -> Reply:
        """Run one turn with a prompt that has no variables before `text`."""
        return await self.chat([system(self.prompts.render(prompt)), user(text)], temperature=0, **options)

    def steps(self, messages: Sequence[Message], tools: Sequence[ToolDefinition]) -> "Steps":
        """Begin a ReAct dialogue; nothing is asked yet."""
        return Steps(self, messages, tools)


@dataclass(slots=True)
class Steps:
    """A ReAct dialogue about the last request of `messages`."""

    asker: Asker
    messages: Sequence[Message]
    tools: Sequence[ToolDefinition]
    _dialogue: StepDialogue = field(init=False)
    _fitters: dict[str, ArgumentFitter] = field(init=False)
    _number: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        task = Task(messages=self.messages, model=self.asker.model, tools=tuple(self.tools))
        capabilities = task.model.capabilities
        self.tools = offered(task, self.tools)
        self._dialogue = StepDialogue(
            task.model,
            Transcript(opening(task, self.tools, self.asker.prompts), context_length=capabilities.context_length),
            tools=self.tools,
            options=turn_options(task, capabilities),
            prompts=self.asker.prompts,
        )
        request, verbatim = last_request(self.messages), capabilities.tool_prompt == "signature"
        self._fitters = {tool.name: ArgumentFitter(tool, request=request, verbatim=verbatim) for tool in self.tools}

    async def take(self) -> Step:
        """Let the model take a step."""
        self._number += 1
        turn, thought = Turn(self._number), ""
        try:
            async for event in self._dialogue.ask(turn):
                if isinstance(event, ReasoningDelta):
                    thought += event.text
        except EngineStopped:
            raise
        except (InvalidRequest, UpstreamFailed) as error:
            return Step(written=f"({error.code}: {error.message})")
        if not turn.calls:
            return Step(written=turn.written, thought=thought, answer=turn.answer if turn.answered else "")
        call = turn.calls[0]
        fitted = self._fitted(call.name, call.arguments)
        return Step(written=turn.written, thought=thought, tool=call.name, arguments=call.arguments, fitted=fitted)

    async def work(self, tool: str, arguments: JsonObject, observation: str) -> None:
        """Put a call and its result into the dialogue. The thought is the model's own if it chose that tool too."""
        step = await self.take()
        thought = step.thought if step.tool == tool else f"I use {tool}."
        turn = Turn(self._number)
        turn.written = json.dumps({"thought": thought, "action": tool, "action_input": arguments}, ensure_ascii=False)
        seen = Observation(
            call_id=f"call_{self._number}",
            name=tool,
            arguments=arguments,
            text=observation,
            ok=not is_error(observation),
        )
        self._dialogue.record(turn, [seen])

    def _fitted(self, name: str, arguments: Any) -> JsonObject | None:
        fitter = self._fitters.get(name)
        try:
            return fitter.fit(arguments, seen=self._dialogue.seen()) if fitter else None
        except BadArguments:
            return None


def is_error(observation: str) -> bool:
    """Tell whether a tool's text says that it failed."""
    return observation.startswith("Error: ")


def system(text: str) -> Message:
    """Return a system prompt."""
    return {"role": "system", "content": text}


def user(text: str) -> Message:
    """Return the user's turn."""
    return {"role": "user", "content": text}
