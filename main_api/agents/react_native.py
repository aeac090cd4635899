"""ReAct with a model that calls tools by itself: OpenAI's `tools` go out, `tool_calls` come back.

Live streaming: a turn that ends in tool calls may begin with text, and that text is thinking. Nothing in the protocol
tells it from an answer until the first tool call or the end of the turn, and text once sent as `content` cannot be
taken back. So text is held until one of the two: then it goes out as `ReasoningDelta` or, piece by piece as it came, as
`TextDelta`. What cannot be an answer any more (text after a call, the model's own reasoning) and what can be
nothing else (the last turn, which may not call tools) is streamed live.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from main_api.agents.clock import closing
from main_api.agents.conversation import Transcript
from main_api.agents.observations import Observation
from main_api.agents.prompts import PromptLibrary
from main_api.agents.repetition import LoopWatch
from main_api.agents.step_parser import tagged_calls
from main_api.agents.tool_calls import RequestedCall
from main_api.agents.turn import Turn
from main_api.backends.protocol import ChatModel, Message
from main_api.events import ChoiceFinished, Event, ModelEvent, ReasoningDelta, TextDelta, ToolCallDelta, UsageReported
from shared.tools_contract import JsonObject, ToolDefinition

_PATIENCE = 4  # long tables and lists are normal in free text


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


class NativeDialogue:
    """A dialogue in OpenAI's own objects."""

    def __init__(
        self,
        model: ChatModel,
        transcript: Transcript,
        *,
        tools: Sequence[ToolDefinition],
        options: Mapping[str, Any],
        prompts: PromptLibrary,
    ) -> None:
        self._model = model
        self._transcript = transcript
        self._names = frozenset(tool.name for tool in tools)
        self._options = {**options, "tools": [_offer(tool) for tool in tools]}
        self._prompts = prompts

    async def ask(self, turn: Turn) -> AsyncIterator[Event]:
        """See `Dialogue.ask`; the module's docstring explains what is held back."""
        reading = _Reading(turn, LoopWatch(self.seen, patience=_PATIENCE))
        async with closing(self._model.stream(self._transcript.messages(), **self._options)) as stream:
            async for event in stream:
                for shown in reading.take(event):
                    yield shown
                if turn.looped:
                    break
        for shown in reading.conclude(self._names):
            yield shown

    async def ask_for_answer(self, turn: Turn, reason: str) -> AsyncIterator[Event]:
        """See `Dialogue.ask_for_answer`. The tools stay declared, as providers want it where the history has calls."""
        instruction: Message = {"role": "user", "content": self._prompts.render("agents/final_answer", reason=reason)}
        options = {**self._options, "tool_choice": "none"}
        watch = LoopWatch(self.seen, patience=_PATIENCE)
        async with closing(self._model.stream([*self._transcript.messages(), instruction], **options)) as stream:
            async for event in stream:
                match event:
                    case TextDelta():
                        turn.answer += event.text
                        yield event
                        if watch.loops(event.text):
                            turn.looped = True
                            break
                    case ChoiceFinished():
                        turn.finish_reason = event.finish_reason
                    case ReasoningDelta() | UsageReported():
                        yield event
                    case ToolCallDelta():
                        pass  # not allowed any more, and Ollama does not know `tool_choice`
        turn.answered = bool(turn.answer.strip())

    def record(self, turn: Turn, observations: Sequence[Observation]) -> None:
        """See `Dialogue.record`. The arguments go back as they were understood: servers refuse broken JSON."""
        calls = [
            {
                "id": seen.call_id,
                "type": "function",
                "function": {
                    "name": _wire_name(seen.name),
                    "arguments": json.dumps(seen.arguments, ensure_ascii=False),
                },
            }
            for seen in observations
        ]
        results: list[Message] = [
            {"role": "tool", "tool_call_id": seen.call_id, "content": seen.text} for seen in observations
        ]
        self._transcript.add_step(
            [{"role": "assistant", "content": turn.written or None, "tool_calls": calls}, *results]
        )

    def record_problem(self, turn: Turn) -> None:
        """See `Dialogue.record_problem`."""
        self._transcript.add_step([{"role": "user", "content": turn.problem or ""}])

    def seen(self) -> str:
        return self._transcript.text()


class _Reading:
    """What has come of one turn, and what of it may be shown."""

    def __init__(self, turn: Turn, watch: LoopWatch) -> None:
        self._turn = turn
        self._watch = watch
        self._held: list[TextDelta] = []
        self._calls: dict[int, _Call] = {}

    def take(self, event: ModelEvent) -> list[Event]:
        match event:
            case TextDelta():
                return self._take_text(event)
            case ToolCallDelta():
                thoughts = self._as_thoughts()
                _add_piece(self._calls, event)
                return thoughts
            case ChoiceFinished():
                self._turn.finish_reason = event.finish_reason
                return []
            case ReasoningDelta() | UsageReported():
                return [event]

    def conclude(self, names: frozenset[str]) -> list[Event]:
        """Decide what the turn was, and release what was held."""
        turn = self._turn
        if not self._calls and self._read_calls_from_text(names):
            turn.written = ""
        if self._calls:
            turn.calls = [_requested(call, turn.number, index) for index, call in sorted(self._calls.items())]
            return self._as_thoughts()
        if turn.looped:
            turn.problem = "Your answer repeated itself and was stopped. Answer briefly."
            return []
        if not turn.written.strip():
            turn.problem = "Your answer was empty. Call a tool, or answer the user."
            return []
        turn.answer, turn.answered = turn.written, True
        return list(self._held)

    def _take_text(self, event: TextDelta) -> list[Event]:
        self._turn.written += event.text
        self._turn.looped = self._watch.loops(event.text)
        if self._calls:
            return [ReasoningDelta(event.text)]
        self._held.append(event)
        return []

    def _as_thoughts(self) -> list[Event]:
        thoughts: list[Event] = [ReasoningDelta(text.text) for text in self._held]
        self._held.clear()
        return thoughts

    def _read_calls_from_text(self, names: frozenset[str]) -> bool:
        """Small models write the call that they mean into the text; it counts if it names a tool of this run."""
        for index, (name, arguments) in enumerate(tagged_calls(self._turn.written, names)):
            self._calls[index] = _Call(name=name, arguments=arguments)
        return bool(self._calls)


def _offer(tool: ToolDefinition) -> JsonObject:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }


def _wire_name(name: str) -> str:
    """Return a name that OpenAI's pattern allows, also for one that the model made up."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "unknown"


def _add_piece(calls: dict[int, _Call], event: ToolCallDelta) -> None:
    call = calls.setdefault(event.index, _Call())
    call.id = call.id or event.id or ""
    call.name = call.name or event.name or ""
    call.arguments += event.arguments


def _requested(call: _Call, step: int, index: int) -> RequestedCall:
    return RequestedCall(id=call.id or f"call_{step}_{index}", name=call.name, arguments=call.arguments)
