"""One run of an agent: from an accepted call to its recorded end, as one stream of events.

The run owns what must happen however it ends: the session keeps the answer, whole or partial, before the last event
is handed out, and the usage is recorded once. What precedes the model's first word (notices, the start of a step) waits
for it, so that a failure in its place is still a real HTTP status.
"""

import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from main_api.agents.clock import closing
from main_api.agents.collect import Collected
from main_api.agents.protocol import Agent, Task
from main_api.backends.openai_wire_errors import ContextLengthExceeded
from main_api.chat.accounting import Accounting, Entry
from main_api.chat.conversation import Conversation
from main_api.events import (
    Event,
    Notice,
    ReasoningDelta,
    RunFinished,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    UsageReported,
)
from shared.errors import TwinportError
from shared.tools_contract import Artifact

ClaimArtifacts = Callable[[Sequence[Artifact]], Awaitable[None]]
"""Notes that the caller may download what a tool made."""

_PRELIMINARY = (Notice, StepStarted)
_CHARACTERS_PER_TOKEN = 4
"""For the estimate of an answer that broke off: a backend may join many tokens into one event."""


class ChatRun:
    """An accepted call. `session_id` and `model` are known once the first event is out."""

    def __init__(
        self,
        *,
        agent: Agent,
        task: Task,
        accounting: Accounting,
        conversation: Conversation | None,
        claim: ClaimArtifacts,
    ) -> None:
        self.id = f"chatcmpl-{secrets.token_hex(12)}"
        self.created = int(time.time())
        self.model = task.model.name
        self.session_id: str | None = None
        self._agent = agent
        self._task = task
        self._accounting = accounting
        self._conversation = conversation
        self._claim = claim

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield the run's events. Closing the generator cancels the model and the tools, and keeps what was said."""
        answer = Collected()
        async with AsyncExitStack() as stack:
            task = self._task
            if self._conversation is not None:
                task = await stack.enter_async_context(self._kept(self._conversation, answer))
            entry = stack.enter_context(self._accounting.run())
            events = await stack.enter_async_context(closing(self._answer(task)))
            async for event in events:
                answer.add(event)
                await self._note(event, entry, answer)
                yield event

    @asynccontextmanager
    async def _kept(self, conversation: Conversation, answer: Collected) -> AsyncGenerator[Task]:
        """Continue the session, and keep in it the answer as far as it came, with the reason if it failed."""
        async with conversation.continued(self._task) as task:
            self.session_id = conversation.session_id
            failure: TwinportError | None = None
            try:
                yield task
            except TwinportError as error:
                failure = error
                raise
            finally:
                await conversation.keep(answer, failure)

    async def _note(self, event: Event, entry: Entry, answer: Collected) -> None:
        """Write down what an event means for the account, the artifacts and, if it is the last, the session."""
        match event:
            case TextDelta(text=text) | ReasoningDelta(text=text) | ToolCallDelta(arguments=text):
                entry.estimate += max(1, len(text) // _CHARACTERS_PER_TOKEN)
            case UsageReported():
                entry.reported(answer.usage)
            case ToolCallFinished(result=result) if result.artifacts:
                await self._claim(result.artifacts)
            case RunFinished():
                self.model = entry.model = event.model or self.model
                entry.complete(event.usage)
                if self._conversation is not None:
                    await self._conversation.keep(answer)
            case _:
                return

    async def _answer(self, task: Task) -> AsyncGenerator[Event, None]:
        """Run the agent; where the model finds the conversation too long, run it again with half of the history."""
        told: list[Event] = []
        while True:
            told += self._notices()
            waiting = list(told)
            begun = False
            try:
                async with closing(self._agent.run(task)) as events:
                    async for event in events:
                        waiting.append(event)
                        begun = begun or not isinstance(event, _PRELIMINARY)
                        while begun and waiting:
                            yield waiting.pop(0)
            except ContextLengthExceeded:
                shorter = self._conversation.shortened(task) if self._conversation and not begun else None
                if shorter is None:
                    raise
                task = shorter
            else:
                return

    def _notices(self) -> list[Notice]:
        """Take what the conversation has to tell since the last time."""
        if self._conversation is None:
            return []
        told, self._conversation.notices = self._conversation.notices, []
        return told
