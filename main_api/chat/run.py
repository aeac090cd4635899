"""One run of an agent: from an accepted call to its recorded end, as one stream of events.

The run owns what must happen however it ends: the session keeps the answer, whole or partial, before the last event
is handed out, and the usage is recorded once.
"""

import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from main_api.agents.clock import closing
from main_api.agents.collect import Collected
from main_api.agents.protocol import Agent, Task
from main_api.backends.openai_wire_errors import ContextLengthExceeded
from main_api.chat.accounting import Accounting
from main_api.chat.conversation import Conversation
from main_api.events import Event, Notice, RunFinished, ToolCallFinished
from shared.tools_contract import Artifact

ClaimArtifacts = Callable[[Sequence[Artifact]], Awaitable[None]]
"""Notes that the caller may download what a tool made."""


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
        async with AsyncExitStack() as stack:
            task = self._task
            if self._conversation is not None:
                task = await stack.enter_async_context(self._conversation.continued(task))
                self.session_id = self._conversation.session_id
            answer = Collected()
            stack.push_async_callback(self._keep, answer)
            entry = stack.enter_context(self._accounting.run())
            events = await stack.enter_async_context(closing(self._answer(task)))
            async for event in events:
                answer.add(event)
                entry.reported(answer.usage)
                if isinstance(event, ToolCallFinished) and event.result.artifacts:
                    await self._claim(event.result.artifacts)
                elif isinstance(event, RunFinished):
                    self.model = entry.model = event.model or self.model
                    entry.complete(event.usage)
                    await self._keep(answer)
                yield event

    async def _answer(self, task: Task) -> AsyncGenerator[Event, None]:
        """Run the agent; where the model finds the conversation too long, run it again with half of the history."""
        while True:
            for notice in self._notices():
                yield notice
            begun = False
            try:
                async with closing(self._agent.run(task)) as events:
                    async for event in events:
                        begun = True
                        yield event
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

    async def _keep(self, answer: Collected) -> None:
        if self._conversation is not None:
            await self._conversation.keep(answer)
