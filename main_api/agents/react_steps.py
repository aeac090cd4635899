"""ReAct in JSON steps that the engine constrains: `{"thought", "action", "action_input"}`.

The thought is streamed as reasoning and the answer of `finish` as text while the JSON is still being written. Where
the backend refuses the schema, the same conversation goes on unconstrained and the tolerant parser reads the steps.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from main_api.agents.clock import closing
from main_api.agents.conversation import Transcript, last_request
from main_api.agents.json_strings import JsonStringReader
from main_api.agents.observations import Observation
from main_api.agents.prompts import PromptLibrary
from main_api.agents.react_setup import asked_for
from main_api.agents.repetition import LoopWatch, stutters
from main_api.agents.step_parser import FINISH, Step, parse_step
from main_api.agents.step_schema import response_format, step_schema
from main_api.agents.tool_calls import RequestedCall
from main_api.agents.turn import Turn
from main_api.backends.protocol import ChatModel, Message
from main_api.events import ChoiceFinished, Event, ModelEvent, ReasoningDelta, TextDelta, UsageReported
from shared.errors import InvalidRequest
from shared.tools_contract import JsonObject, ToolDefinition

_CUT = "Your step was cut off before it was complete. Write a shorter one."
_LOOPED = "Your step repeated itself and was stopped. Try another way, or finish."
_UNREADABLE = "Your step was not the JSON object that was asked for, or its answer was empty. Write the step again."


class StepDialogue:
    """A dialogue in constrained JSON. `copies_only` marks the small models that know tools by their signature: they
    follow no instruction beside their format, and without a result to copy they have no answer. Where
    the request itself speaks of a tool, they may not finish with their first step."""

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
        self._names = [name for tool in tools for name in (tool.name, *tool.aliases)]
        self._step_format = response_format(step_schema(tools))
        self._answer_format = response_format(step_schema(()))
        self._options = {"temperature": 0, **options}
        self._prompts = prompts
        self._copies_only = model.capabilities.tool_prompt == "signature"
        must_call = self._copies_only and bool(asked_for(last_request(transcript.messages()), tools))
        self._next_format = response_format(step_schema(tools, may_finish=not must_call))
        self._constrained = True
        self._has_result = False

    async def ask(self, turn: Turn) -> AsyncIterator[Event]:
        """See `Dialogue.ask`."""
        shape, self._next_format = self._next_format, self._step_format
        async with closing(self._step(turn, self._transcript.messages(), shape)) as stream:
            async for event in stream:
                yield event

    async def ask_for_answer(self, turn: Turn, reason: str) -> AsyncIterator[Event]:
        """See `Dialogue.ask_for_answer`: the schema allows nothing but `finish`."""
        messages = self._transcript.messages()
        if self._copies_only and not self._has_result:
            return
        if not self._copies_only:
            messages.append({"role": "user", "content": self._prompts.render("agents/final_answer", reason=reason)})
        async with closing(self._step(turn, messages, self._answer_format)) as stream:
            async for event in stream:
                yield event
        turn.calls = []

    def record(self, turn: Turn, observations: Sequence[Observation]) -> None:
        """See `Dialogue.record`."""
        self._has_result = any(seen.ok for seen in observations)
        results = "\n".join(f"Observation: {seen.text}" for seen in observations)
        self._transcript.add_step([_assistant(turn.written), {"role": "user", "content": results}])

    def record_problem(self, turn: Turn) -> None:
        """See `Dialogue.record_problem`. Only the beginning of what went wrong is shown, lest it be copied."""
        complaint: Message = {"role": "user", "content": f"Error: {turn.problem}"}
        self._transcript.add_step([_assistant(turn.written[:200] or "(empty)"), complaint])

    def seen(self) -> str:
        return self._transcript.text()

    async def _step(self, turn: Turn, messages: Sequence[Message], shape: JsonObject) -> AsyncIterator[Event]:
        live = _LiveStep(turn)
        watch = LoopWatch(self.seen)
        async with closing(self._stream(messages, shape)) as stream:
            async for event in stream:
                match event:
                    case TextDelta():
                        turn.written += event.text
                        for piece in live.feed(event.text):
                            yield piece
                        if watch.loops(event.text):
                            turn.looped = True
                            break
                    case ChoiceFinished():
                        turn.finish_reason = event.finish_reason
                    case ReasoningDelta() | UsageReported():
                        yield event
                    case _:
                        pass  # nothing was offered that a tool-call delta could mean
        for event in self._conclude(turn, live):
            yield event

    async def _stream(self, messages: Sequence[Message], shape: JsonObject) -> AsyncIterator[ModelEvent]:
        """Run the turn constrained; if the backend refuses that from the start, unconstrained from now on."""
        if self._constrained:
            begun = False
            try:
                async with closing(self._model.stream(messages, **self._options, response_format=shape)) as events:
                    async for event in events:
                        begun = True
                        yield event
            except InvalidRequest:
                if begun:
                    raise
                self._constrained = False
        if not self._constrained:
            async with closing(self._model.stream(messages, **self._options)) as events:
                async for event in events:
                    yield event

    def _conclude(self, turn: Turn, live: "_LiveStep") -> list[Event]:
        """Decide what the complete text is; return what could not be streamed because its shape was unusual."""
        broken_off = turn.looped or turn.finish_reason == "length"
        if broken_off and not _is_complete(turn.written):
            turn.finish_reason = "length"
            turn.answered = bool(turn.answer.strip())
            turn.problem = None if turn.answered else (_LOOPED if turn.looped else _CUT)
            return []
        step = parse_step(turn.written, self._names)
        if step.action is not None:
            turn.calls = [RequestedCall(id=f"call_{turn.number}", name=step.action, arguments=step.action_input)]
            return live.missing_thought(step)
        if not (step.answer or "").strip():
            turn.problem = _UNREADABLE
            return live.missing_thought(step)
        turn.answered = True
        return [*live.missing_thought(step), *live.missing_answer(step)]


class _LiveStep:
    """The events of a step while its JSON grows. An answer that begins to stutter is held until it goes on, so that
    little of a loop is ever seen."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._reader = JsonStringReader()
        self._action = ""
        self._thought = ""
        self._held = ""

    def feed(self, chunk: str) -> list[Event]:
        events: list[Event] = []
        for piece in self._reader.feed(chunk):
            if piece.path == ("thought",) and piece.text:
                self._thought += piece.text
                events.append(ReasoningDelta(piece.text))
            elif piece.path == ("action",):
                self._action += piece.text
            elif piece.path == ("action_input", "answer") and self._action == FINISH and piece.text:
                self._held += piece.text
        if self._held and not stutters(self._turn.answer + self._held):
            self._turn.answer += self._held
            events.append(TextDelta(self._held))
            self._held = ""
        return events

    def missing_thought(self, step: Step) -> list[Event]:
        if self._thought or not step.thought:
            return []
        return [ReasoningDelta(step.thought)]

    def missing_answer(self, step: Step) -> list[Event]:
        answer = step.answer or ""
        if not answer.startswith(self._turn.answer):
            return []  # what was streamed stands
        rest = answer[len(self._turn.answer) :]
        self._turn.answer = answer
        return [TextDelta(rest)] if rest else []


def _is_complete(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (json.JSONDecodeError, RecursionError):
        return False


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}
