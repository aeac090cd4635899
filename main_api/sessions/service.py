"""The conversations that people keep: one turn at a time on each, listing, history, search, export. Knows no FastAPI.

A user id comes from the caller's credential; with another person's session id every call answers `SessionNotFound`.
"""

import asyncio
import contextvars
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from main_api.sessions.index import SearchHit, SessionPage
from main_api.sessions.records import (
    SessionNotFound,
    StoredMessage,
    Transcript,
    checked_session_id,
    clean_title,
    new_session_id,
    with_live_status,
)
from main_api.sessions.store import SessionStore
from main_api.sessions.turns import Key, Turn, TurnQueue
from shared.errors import InvalidRequest
from shared.logging import get_logger

P = ParamSpec("P")
T = TypeVar("T")

_log = get_logger("sessions")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """`folder` holds the files. `sync`: an acknowledged message survives a power cut, at the price of an fdatasync.
    `max_waiting_turns` is per session, `threads` bounds the file I/O of all sessions together."""

    folder: Path
    sync: bool = True
    max_session_bytes: int = 64 * 2**20
    max_waiting_turns: int = 32
    threads: int = 4


@asynccontextmanager
async def open_sessions(options: SessionOptions) -> AsyncGenerator["SessionService"]:
    """Open the service: repair what a crash left, bring the index up to date; on exit finish every write."""
    service = SessionService(options)
    try:
        await service.start()
        yield service
    finally:
        await service.aclose()


class SessionService:
    """All that can be done with sessions. Blocking work runs in its own few threads."""

    def __init__(self, options: SessionOptions) -> None:
        self._store = SessionStore(options.folder, sync=options.sync, max_session_bytes=options.max_session_bytes)
        self._threads = ThreadPoolExecutor(options.threads, thread_name_prefix="sessions")
        self._queue = TurnQueue(max_waiting=options.max_waiting_turns)
        self._live: dict[Key, str] = {}
        self._writes = set[asyncio.Task[None]]()

    async def start(self) -> None:
        await self._run(self._store.open)

    async def aclose(self) -> None:
        while self._writes:
            await asyncio.wait(self._writes)
        await self._run(self._store.close)
        self._threads.shutdown(wait=False)

    @asynccontextmanager
    async def turn(self, user_id: int, session_id: str | None = None) -> AsyncGenerator[Turn]:
        """Hold a session for one question and its answer; None begins a new one.

        Turns on one session run one after the other in the order of their calls. Raises `SessionNotFound`,
        `SessionBusy` when too many wait.
        """
        is_new = session_id is None
        key = (user_id, new_session_id() if session_id is None else checked_session_id(session_id))
        await self._queue.enter(key)
        turn: Turn | None = None
        try:
            history = () if is_new else (await self.history(user_id, key[1])).messages
            turn = Turn(
                turn_id=secrets.token_hex(8),
                key=key,
                history=history,
                is_new=is_new,
                writer=self._store,
                run=self._run,
                spawn=self._spawn,
            )
            self._live[key] = turn.id
            yield turn
        finally:
            if turn is None:
                self._queue.leave(key)
            else:
                turn.when_written(lambda: self._end(key))

    async def list_sessions(self, user_id: int, *, limit: int = 20, offset: int = 0) -> SessionPage:
        """List a user's sessions, newest first."""
        return await self._run(self._store.page, user_id, limit=limit, offset=offset)

    async def history(self, user_id: int, session_id: str) -> Transcript:
        """Read a session with its messages; a question without an answer is `pending` or `interrupted`."""
        transcript = await self._run(self._store.read, user_id, session_id)
        live_turn = self._live.get((user_id, session_id))
        messages: tuple[StoredMessage, ...] = with_live_status(transcript.messages, live_turn)
        return Transcript(transcript.info, messages, transcript.unreadable)

    async def rename(self, user_id: int, session_id: str, title: str) -> str:
        """Give a session a title, made one line of at most 200 characters; return it. Raises `InvalidRequest`."""
        cleaned = clean_title(title)
        if not cleaned:
            raise InvalidRequest("A title needs at least one visible character.", param="title")
        await self._run(self._store.set_title, user_id, session_id, cleaned)
        return cleaned

    async def set_title_if_unset(self, user_id: int, session_id: str, title: str) -> bool:
        """Give a session its automatic title unless it has one; tell whether it was set."""
        cleaned = clean_title(title)
        if not cleaned:
            return False
        return await self._run(self._store.set_title, user_id, session_id, cleaned, only_if_unset=True)

    async def delete(self, user_id: int, session_id: str) -> None:
        """Delete a session for good, at once; an answer that is being made for it is dropped at its end."""
        await self._run_to_end(self._store.delete, user_id, session_id)

    async def delete_user(self, user_id: int) -> int:
        """Delete all sessions of an account that goes away; return how many."""
        return await self._run(self._store.delete_user, user_id)

    async def search(self, user_id: int, typed: str, *, limit: int = 20, offset: int = 0) -> tuple[SearchHit, ...]:
        """Find messages and titles that have all the words, newest first."""
        return await self._run(self._store.search, user_id, typed, limit=limit, offset=offset)

    async def render(self, write: Callable[[Transcript], bytes], transcript: Transcript) -> bytes:
        """Render a transcript in a thread: a long one takes longer than the event loop may stand still."""
        return await self._run(write, transcript)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        context = contextvars.copy_context()  # carries the request id into the log lines
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: context.run(work, *args, **kwargs))

    async def _run_to_end(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run a write that goes on when its caller is cancelled."""
        await asyncio.shield(self._spawn(self._run(work, *args, **kwargs)))

    def _spawn(self, write: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(write)
        self._writes.add(task)
        task.add_done_callback(self._written)
        return task

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writes.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, SessionNotFound):
            _log.error("session_write_failed", error=repr(error))  # its caller may be gone

    def _end(self, key: Key) -> None:
        del self._live[key]
        self._queue.leave(key)
