"""The ReAct agent (reasoning and acting): ask the model, run the tools it calls, show it the results, until it answers.

The rules are here: budgets, repetition, retries, endings. How a model is asked is in `react_native.py`,
`react_steps.py` and `react_text.py`; how tools are called is in `tool_calls.py`.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from main_api.agents.chat import ChatAgent
from main_api.agents.clock import TimeIsUp, closing, deadline_in, has_passed, until
from main_api.agents.conversation import Transcript, last_request
from main_api.agents.endings import after_a_loop, honest_answer
from main_api.agents.observations import Observation, observation_cap
from main_api.agents.prompts import PromptLibrary
from main_api.agents.protocol import Budget, Task
from main_api.agents.react_native import NativeDialogue
from main_api.agents.react_setup import notices, offered, opening, refuse_what_cannot_be_honoured, turn_options
from main_api.agents.react_steps import StepDialogue
from main_api.agents.react_text import TextDialogue
from main_api.agents.tool_calls import Limits, ToolCalls
from main_api.agents.turn import Dialogue, Turn
from main_api.events import (
    ChoiceFinished,
    Event,
    FinishReason,
    Notice,
    RunFinished,
    StepStarted,
    TextDelta,
    Usage,
    UsageReported,
)
from main_api.toolbox.protocol import Toolbox
from shared.errors import InvalidRequest, TwinportError
from shared.tools_contract import ToolDefinition

_PROBLEMS_IN_A_ROW = 2
_DIALOGUES = {"native": NativeDialogue, "json_schema": StepDialogue, "text": TextDialogue}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactOptions:
    """`retry_on_error` False (REACT_RETRY_ON_ERROR): after a tool failed, the model is asked for its answer."""

    budget: Budget = field(default_factory=Budget)
    retry_on_error: bool = True
    observation_chars: int = 12_000
    parallel_calls: int = 8


@dataclass(frozen=True, slots=True)
class _Ending:
    """Why a run may not go on: a stable word, and the words for model and caller."""

    code: str
    reason: str


class ReactAgent:
    """Answer with the help of tools."""

    def __init__(self, prompts: PromptLibrary, options: ReactOptions) -> None:
        self._prompts = prompts
        self._options = options
        self._chat = ChatAgent(options.budget)

    async def run(self, task: Task) -> AsyncIterator[Event]:
        """See `Agent.run`. Without usable tools it is a plain chat that says so. Raises `InvalidRequest` for options
        that a run of several turns cannot honour: client-side `tools`, `response_format`, `n` above 1."""
        refuse_what_cannot_be_honoured(task)
        usable = tuple(tool for tool in task.tools if tool.available)
        for notice in notices(task, usable):
            yield notice
        if task.toolbox is None or not usable:
            run = self._chat.run(task)
        else:
            run = _Run(task, offered(task, usable), task.toolbox, self._prompts, self._options).events()
        async with closing(run) as events:
            async for event in events:
                yield event


class _Run:
    """One run: the dialogue with the model, the tool calls, and what has been spent."""

    def __init__(
        self,
        task: Task,
        tools: Sequence[ToolDefinition],
        toolbox: Toolbox,
        prompts: PromptLibrary,
        options: ReactOptions,
    ) -> None:
        self._budget = task.budget or options.budget
        self._retry_on_error = options.retry_on_error
        self._deadline = deadline_in(self._budget.seconds)
        self._usage = Usage()
        self._model = task.model.name
        self._observations: list[Observation] = []
        self._problems = 0
        self._ending: _Ending | None = None
        capabilities = task.model.capabilities
        self._dialogue: Dialogue = _DIALOGUES[capabilities.tool_mode](
            task.model,
            Transcript(opening(task, tools, prompts), context_length=capabilities.context_length),
            tools=tools,
            options=turn_options(task, capabilities),
            prompts=prompts,
        )
        self._calls = ToolCalls(
            toolbox,
            tools,
            limits=Limits(
                calls=self._budget.tool_calls,
                deadline=self._deadline,
                observation_chars=observation_cap(options.observation_chars, capabilities.context_length),
                parallel=options.parallel_calls,
            ),
            request=last_request(task.messages),
            seen=self._dialogue.seen,
            verbatim=capabilities.tool_prompt == "signature",
            workspace=task.workspace,
        )

    async def events(self) -> AsyncIterator[Event]:
        """Take steps until the model answers or something ends the run."""
        number = 0
        while (ending := self._ending or self._spent(number)) is None:
            number += 1
            turn = Turn(number)
            yield StepStarted(number)
            async with closing(self._step(turn)) as events:
                async for event in events:
                    yield event
            if turn.answered:
                for event in self._finished(turn):
                    yield event
                return
        yield Notice(ending.code, f"The run was ended: {ending.reason}.")
        async with closing(self._last_turn(Turn(number + 1), ending)) as events:
            async for event in events:
                yield event

    async def _step(self, turn: Turn) -> AsyncIterator[Event]:
        """Let the model take a step and run what it calls. A time that is up becomes the run's ending."""
        try:
            async with closing(until(self._dialogue.ask(turn), self._deadline)) as events:
                async for event in events:
                    self._count(event)
                    yield event
        except TimeIsUp:
            self._cut_short(turn, _Ending("budget_spent", "the time of this run is up"))
            return
        except InvalidRequest as error:
            if turn.number == 1 or turn.answer:
                raise
            self._cut_short(turn, _Ending("model_refused", f"the model cannot go on ({error.message})"))
            return
        if turn.finish_reason == "content_filter":
            turn.answered = True
        elif turn.calls:
            async with closing(self._act(turn)) as events:
                async for event in events:
                    yield event
        elif turn.problem:
            self._note_problem(turn)

    async def _act(self, turn: Turn) -> AsyncIterator[Event]:
        observations: list[Observation] = []
        async with closing(self._calls.run(turn.calls, observations)) as events:
            async for event in events:
                yield event
        self._problems = 0
        self._observations += observations
        self._dialogue.record(turn, observations)
        if self._calls.repeated:
            reason = f"the same call of {self._calls.repeated} was made again and again"
            self._ending = _Ending("repeated_call", reason)
        elif not self._retry_on_error and not all(seen.ok for seen in observations):
            self._ending = _Ending("tool_failed", "a tool failed and trying again is switched off")

    def _note_problem(self, turn: Turn) -> None:
        self._problems += 1
        self._dialogue.record_problem(turn)
        if self._problems >= _PROBLEMS_IN_A_ROW:
            self._ending = _Ending("model_stuck", "the model's steps could not be understood")

    def _cut_short(self, turn: Turn, ending: _Ending) -> None:
        self._ending = ending
        if turn.answer:  # half an answer has gone out; a second one would only confuse
            turn.answered, turn.finish_reason = True, "length"

    async def _last_turn(self, turn: Turn, ending: _Ending) -> AsyncIterator[Event]:
        """Ask for the best answer without tools; if none comes, say honestly what there is."""
        asked = until(self._dialogue.ask_for_answer(turn, ending.reason), deadline_in(self._budget.final_turn_s))
        try:
            async with closing(asked) as events:
                async for event in events:
                    self._count(event)
                    yield event
        except (TwinportError, TimeIsUp):
            turn.finish_reason = "length"
        if not turn.answer.strip():
            turn.answer = honest_answer(ending.reason, self._observations)
            turn.looped, turn.finish_reason = False, "length"
            yield TextDelta(turn.answer)
        if ending.code == "budget_spent":
            turn.finish_reason = "length"
        for event in self._finished(turn):
            yield event

    def _finished(self, turn: Turn) -> list[Event]:
        events: list[Event] = []
        if turn.looped and turn.answer:
            events.append(TextDelta(after_a_loop(self._observations)))
        reason: FinishReason = "length" if turn.looped else turn.finish_reason
        reason = "stop" if reason == "tool_calls" else reason
        return [*events, ChoiceFinished(reason), RunFinished(reason, self._usage, self._model)]

    def _count(self, event: Event) -> None:
        if isinstance(event, UsageReported):
            self._usage += event.usage
            self._model = event.model or self._model

    def _spent(self, steps: int) -> _Ending | None:
        if steps >= self._budget.steps:
            return _Ending("budget_spent", f"the {self._budget.steps} steps of this run are used up")
        if self._calls.spent:
            return _Ending("budget_spent", f"the {self._budget.tool_calls} tool calls of this run are used up")
        if self._budget.tokens is not None and self._usage.total_tokens >= self._budget.tokens:
            return _Ending("budget_spent", f"the {self._budget.tokens} tokens of this run are used up")
        if has_passed(self._deadline):
            return _Ending("budget_spent", "the time of this run is up")
        return None
