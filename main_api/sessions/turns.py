"""One question and its answer at a time: what keeps two requests on one session in order.

Kept in memory, so the order holds within one process; across processes lines still never mix (see `journal.py`).
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from main_api.sessions.records import (
    AnswerStatus,
    SessionNotFound,
    StoredMessage,
    new_message_id,
)
from shared.errors import RateLimited
from shared.logging import get_logger
from shared.tools_contract import JsonObject

_log = get_logger("sessions")

Key = tuple[int, str]
"""User id and session id: with a guessed id nobody can make another person's session wait."""


class SessionBusy(RateLimited):
    """Too many requests wait for their turn on this session."""

    code = "session_busy"

    def __init__(self) -> None:
        super().__init__(
            "Too many requests wait on this session. Wait for an answer, or use another session.", retry_after=1
        )


class TurnWriter(Protocol):
    """Where a turn's messages go. Blocking; runs in a thread."""

    def create(self, user_id: int, session_id: str, first: StoredMessage) -> None: ...

    def append(self, user_id: int, session_id: str, message: StoredMessage) -> None: ...


@dataclass(slots=True)
class _Place:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class TurnQueue:
    """A first-come-first-served lock per session; it exists only while somebody holds it or waits for it."""

    def __init__(self, *, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._places: dict[Key, _Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    async def enter(self, key: Key) -> None:
        """Wait for the turn; cancelling gives the place up. Raises `SessionBusy`."""
        place = self._places.setdefault(key, _Place())
        if place.users > self._max_waiting:
            raise SessionBusy
        place.users += 1
        try:
            await place.lock.acquire()
        except asyncio.CancelledError:
            self._drop(key, place)
            raise

    def leave(self, key: Key) -> None:
        place = self._places[key]
        place.lock.release()
        self._drop(key, place)

    def _drop(self, key: Key, place: _Place) -> None:
        place.users -= 1
        if place.users == 0:
            del self._places[key]


class Turn:
    """One question and its answer on a session that this request holds alone.

    `history` is what was there before, oldest first. A new session exists on disk from its first message on.
    `run` runs blocking work in a thread; `spawn` starts a task that the service waits for before it closes.
    A write that has begun is finished even when the caller is cancelled, and the next turn waits for it.
    """

    def __init__(
        self,
        *,
        turn_id: str,
        key: Key,
        history: Sequence[StoredMessage],
        is_new: bool,
        writer: TurnWriter,
        run: Callable[..., Coroutine[Any, Any, Any]],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self.id = turn_id
        self.user_id, self.session_id = key
        self.history = tuple(history)
        self.is_new = is_new
        self._exists = not is_new
        self._writer = writer
        self._run = run
        self._spawn = spawn
        self._last_write: asyncio.Task[None] | None = None

    async def append_user(self, message: JsonObject) -> StoredMessage:
        """Keep what the caller sent: a user message, or the answer of a tool that runs at the client.

        Raises `SessionNotFound` if the session was deleted meanwhile, `StorageFull`.
        """
        stored = self._stored(message)
        await self._keep(stored)
        return stored

    async def append_assistant(
        self,
        message: JsonObject,
        *,
        status: AnswerStatus = "complete",
        model: str | None = None,
        finish_reason: str | None = None,
        usage: Mapping[str, Any] | None = None,
        steps: Sequence[JsonObject] = (),
        error: Mapping[str, Any] | None = None,
    ) -> StoredMessage | None:
        """Keep the answer; None if the session was deleted while it was made. Raises `StorageFull`."""
        stored = self._stored(
            {"role": "assistant", **message},
            status=status,
            model=model,
            finish_reason=finish_reason,
            usage=dict(usage) if usage is not None else None,
            steps=tuple(steps),
            error=dict(error) if error is not None else None,
        )
        try:
            await self._keep(stored)
        except SessionNotFound:
            _log.info("answer_to_deleted_session_dropped", session_id=self.session_id)
            return None
        return stored

    def when_written(self, callback: Callable[[], None]) -> None:
        """Call `callback` as soon as no write of this turn is under way: now, or later."""
        task = self._last_write
        if task is None or task.done():
            callback()
        else:
            task.add_done_callback(lambda _: callback())

    def _stored(self, message: JsonObject, **fields: Any) -> StoredMessage:
        return StoredMessage(id=new_message_id(), time=datetime.now(UTC), turn=self.id, message=message, **fields)

    async def _keep(self, message: StoredMessage) -> None:
        self._last_write = self._spawn(self._write(message, after=self._last_write))
        await asyncio.shield(self._last_write)

    async def _write(self, message: StoredMessage, *, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait([after])
        if self._exists:
            await self._run(self._writer.append, self.user_id, self.session_id, message)
            return
        await self._run(self._writer.create, self.user_id, self.session_id, message)
        self._exists = True
