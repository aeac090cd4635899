"""ReAct in plain text, for models that can neither call tools nor be constrained: the last resort.

Nothing is streamed while a step is written: only the complete text tells a thought from an answer.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from main_api.agents.clock import closing
from main_api.agents.conversation import Transcript
from main_api.agents.observations import Observation
from main_api.agents.prompts import PromptLibrary
from main_api.agents.repetition import LoopWatch
from main_api.agents.step_parser import parse_step
from main_api.agents.tool_calls import RequestedCall
from main_api.agents.turn import Turn
from main_api.backends.protocol import ChatModel, Message
from main_api.events import ChoiceFinished, Event, ReasoningDelta, TextDelta, UsageReported
from shared.tools_contract import ToolDefinition

_STOP = "\nObservation:"
_EMPTY = "Your answer was empty. Write a step: Thought, Action and Action Input, or Thought and Final Answer."
_LOOPED = "Your step repeated itself and was stopped. Try another way, or write the final answer."


class TextDialogue:
    """A dialogue in Thought/Action lines, read leniently."""

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
        self._options = {"temperature": 0, **options, "stop": [_STOP]}
        self._prompts = prompts

    async def ask(self, turn: Turn) -> AsyncIterator[Event]:
        """See `Dialogue.ask`."""
        async with closing(self._read(turn, self._transcript.messages())) as stream:
            async for event in stream:
                yield event
        if turn.looped or not turn.written.strip():
            turn.problem = _LOOPED if turn.looped else _EMPTY
            return
        step = parse_step(turn.written, self._names)
        if step.thought:
            yield ReasoningDelta(step.thought)
        if step.action is not None:
            turn.calls = [RequestedCall(id=f"call_{turn.number}", name=step.action, arguments=step.action_input)]
        elif (step.answer or "").strip():
            turn.answer, turn.answered = step.answer or "", True
            yield TextDelta(turn.answer)
        else:
            turn.problem = _EMPTY

    async def ask_for_answer(self, turn: Turn, reason: str) -> AsyncIterator[Event]:
        """See `Dialogue.ask_for_answer`."""
        instruction: Message = {"role": "user", "content": self._prompts.render("agents/final_answer", reason=reason)}
        async with closing(self._read(turn, [*self._transcript.messages(), instruction])) as stream:
            async for event in stream:
                yield event
        step = parse_step(turn.written, ())
        turn.answer = (step.answer or "").strip()
        turn.answered = bool(turn.answer) and not turn.looped
        if turn.answered:
            yield TextDelta(turn.answer)

    def record(self, turn: Turn, observations: Sequence[Observation]) -> None:
        """See `Dialogue.record`."""
        results = "\n".join(f"Observation: {seen.text}" for seen in observations)
        self._add(turn.written.strip(), results)

    def record_problem(self, turn: Turn) -> None:
        """See `Dialogue.record_problem`."""
        self._add(turn.written.strip()[:200] or "(empty)", f"Error: {turn.problem}")

    def seen(self) -> str:
        return self._transcript.text()

    def _add(self, written: str, reply: str) -> None:
        self._transcript.add_step([{"role": "assistant", "content": written}, {"role": "user", "content": reply}])

    async def _read(self, turn: Turn, messages: Sequence[Message]) -> AsyncIterator[Event]:
        watch = LoopWatch(self.seen, patience=4)
        async with closing(self._model.stream(messages, **cast("dict[str, Any]", self._options))) as stream:
            async for event in stream:
                match event:
                    case TextDelta():
                        turn.written += event.text
                        if watch.loops(event.text):
                            turn.looped = True
                            return
                    case ChoiceFinished():
                        turn.finish_reason = event.finish_reason
                    case ReasoningDelta() | UsageReported():
                        yield event
                    case _:
                        pass
