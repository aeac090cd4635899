"""The chat agent: one model turn, its events straight through. Client-side `tools`, `n` and the rest are the model's
affair and travel in the options untouched."""

from collections.abc import AsyncIterator

from main_api.agents.clock import TimeIsUp, closing, deadline_in, until
from main_api.agents.protocol import Budget, Task
from main_api.events import ChoiceFinished, Event, FinishReason, Notice, RunFinished, Usage, UsageReported
from shared.errors import DeadlineExceeded


class ChatAgent:
    """Answer with one model turn."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    async def run(self, task: Task) -> AsyncIterator[Event]:
        """See `Agent.run`. A turn that outlives the budget ends with `length`, or with an error if nothing came yet."""
        seconds = (task.budget or self._budget).seconds
        usage, model, begun = Usage(), task.model.name, False
        reasons: dict[int, FinishReason] = {}
        answer = until(task.model.stream(task.messages, **task.options), deadline_in(seconds))
        try:
            async with closing(answer) as events:
                async for event in events:
                    begun = True
                    if isinstance(event, UsageReported):
                        usage, model = usage + event.usage, event.model or model
                    elif isinstance(event, ChoiceFinished):
                        reasons[event.choice] = event.finish_reason
                    yield event
        except TimeIsUp:
            if not begun:
                raise DeadlineExceeded(f"The model sent nothing within {seconds:g} s; try again later.") from None
            yield Notice("budget_spent", f"The answer was cut after {seconds:g} s.", {"budget": "seconds"})
            if 0 not in reasons:
                yield ChoiceFinished("length")
            reasons.setdefault(0, "length")
        yield RunFinished(reasons.get(0, "stop"), usage, model)
