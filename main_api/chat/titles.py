"""Give new sessions a title, in the background, by asking the model that answered."""

import asyncio

from main_api.agents.clock import closing
from main_api.agents.prompts import PromptLibrary
from main_api.agents.titles import clean_title, title_messages
from main_api.backends.protocol import ChatModel
from main_api.events import TextDelta
from main_api.sessions.service import SessionService
from shared.errors import TwinportError
from shared.logging import get_logger

_TIMEOUT_S = 60.0
_MAX_AT_ONCE = 4
_MAX_WAITING = 100

_log = get_logger("titles")


class Titles:
    """Makes titles. `aclose` ends what is under way: a title is a comfort, not a promise."""

    def __init__(self, sessions: SessionService, prompts: PromptLibrary) -> None:
        self._sessions = sessions
        self._prompts = prompts
        self._slots = asyncio.Semaphore(_MAX_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, *, user_id: int, session_id: str, model: ChatModel, request: str, answer: str) -> None:
        """Start making a title for a session and return at once; none is made while too many wait."""
        if len(self._tasks) >= _MAX_WAITING:
            return
        task = asyncio.create_task(self._make(user_id, session_id, model, request, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _make(self, user_id: int, session_id: str, model: ChatModel, request: str, answer: str) -> None:
        async with self._slots:
            title = await self._asked(model, request, answer)
            try:
                await self._sessions.set_title_if_unset(user_id, session_id, clean_title(title, request=request))
            except TwinportError as error:  # deleted meanwhile, or the disk is full
                _log.info("title not kept", session_id=session_id, reason=error.code)

    async def _asked(self, model: ChatModel, request: str, answer: str) -> str:
        messages = title_messages(self._prompts, request=request, answer=answer)
        text = ""
        try:
            events = model.stream(messages, max_tokens=32, temperature=0)
            async with asyncio.timeout(_TIMEOUT_S), closing(events):
                async for event in events:
                    if isinstance(event, TextDelta):
                        text += event.text
        except (TwinportError, TimeoutError) as error:
            _log.info("no title from the model", reason=type(error).__name__)
        return text
