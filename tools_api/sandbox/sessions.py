"""Sandboxes that live on between calls: who owns which, how many there may be, and when they end.

A session belongs to a service and the workspace that it acts for; whoever else says its name gets one of their own.
There is room for so many in all and for so many of each owner; an idle one that was not used for longest makes room,
and one that is idle for long is dropped. An idle session stands still: it holds memory, and no slot.
"""

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Literal

from shared.logging import get_logger
from tools_api.sandbox.conversation import Conversation
from tools_api.sandbox.level import Opened
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job, Outcome, OutputListener, SandboxBusy, SandboxFile

_log = get_logger(__name__)

_LOOK_EVERY_S = 0.5
_REMEMBERED = 1000
_LIFE_CPU_S = 1e7
"""Each process's own limit of processor time counts its whole life; a call's is kept by the watchdog."""

SessionState = Literal["new", "continued", "lost"]
SessionEnding = Literal["idle", "room", "restless", "ended", "lost"]
"""Why a session is no more: dropped after a while, dropped for another one, moved between calls, ended by itself
between calls, or lost in a call."""
Opener = Callable[[Job, Limits], AbstractAsyncContextManager[Opened]]
"""Starts a sandbox for a job that is a script with a `session`; leaving the context ends it."""


class NoSessions(Exception):
    """No sessions are kept here; the message says why."""


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Whose session it is, and what its owner calls it."""

    service: str
    workspace: str
    name: str
    person: str = ""
    """For whom the service calls, if it says so."""

    @property
    def owner(self) -> tuple[str, str]:
        """Who shares the number of sessions: a person, or a workspace where none is named."""
        return self.service, self.person or self.workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """`most` sessions live at once, `most_of_owner` of one owner (0: none), each for `idle_s` after its last call."""

    most: int = 8
    most_of_owner: int = 4
    idle_s: float = 600.0
    interrupt_s: float = 1.0
    """What interrupted code gets to stop by itself."""


class Session:
    """One owner's session while a caller holds it. `state` is that after the latest call; `before` says what became
    of an earlier one of this name, for the first call of a new one."""

    def __init__(self, key: SessionKey, opener: Opener, options: SessionOptions, before: SessionEnding | None) -> None:
        self.key = key
        self.state: SessionState = "new"
        self.before: SessionEnding | None = before
        self.held = True
        self.idle_since = 0.0
        self._opener = opener
        self._options = options
        self._sandbox = contextlib.AsyncExitStack()
        self._conversation: Conversation | None = None
        self._limits: Limits | None = None
        self._seen: dict[str, bytes] = {}

    @property
    def begun(self) -> bool:
        """Say whether there ever was a sandbox."""
        return self._conversation is not None

    @property
    def alive(self) -> bool:
        """Say whether there is an interpreter that the next call can go on with."""
        return self._conversation is not None and not self._conversation.over

    def limits_of_call(self, limits: Limits) -> Limits:
        """Return what holds for a call with these limits, once it has begun."""
        return limits.in_a_session_of(self._limits or limits)

    async def run(self, job: Job, limits: Limits, on_output: OutputListener | None = None) -> Outcome:
        """Do a call; of its input files those go in that the session does not have yet as they are.

        Cancelling interrupts the code. If it stops within a moment the session stays as the code left it, else it
        ends; either is settled when this raises. Raises what the opener raises.
        """
        conversation = await self._opened(job, limits)
        changed = await self._changed(job.files)
        calling = asyncio.ensure_future(conversation.call(replace(job, files=changed), limits, on_output))
        try:
            outcome = await asyncio.shield(calling)
        except asyncio.CancelledError:
            conversation.interrupt()
            await self._settled(calling)
            raise
        await self.saw(changed)
        if not self.alive:
            self.state = "lost"
        return outcome

    async def saw(self, files: Iterable[SandboxFile]) -> None:
        """Remember what the workspace now holds that is the same inside."""
        self._seen |= await _digests(files)

    def stands_still(self) -> bool:
        """Say whether nothing in it moves."""
        return self._conversation is None or self._conversation.stands_still()

    def kill(self) -> None:
        """End it at once; `end` cleans up."""
        if self._conversation:
            self._conversation.kill()

    async def end(self) -> None:
        """End it and leave nothing of it behind."""
        self.kill()
        await self._sandbox.aclose()
        self._conversation = None

    async def _opened(self, job: Job, limits: Limits) -> Conversation:
        if self._conversation and self._conversation.has_ended():
            await self.end()
            self._seen.clear()
            self.before, self.state = "ended", "new"
        elif self._conversation:
            self.before, self.state = None, "continued"
        if self._conversation is None:
            opening = self._opener(job, replace(limits, cpu_s=_LIFE_CPU_S))
            process, cgroup = await self._sandbox.enter_async_context(opening)
            self._conversation = Conversation(process, cgroup, limits, interrupt_s=self._options.interrupt_s)
            self._limits = limits
        return self._conversation

    async def _settled(self, calling: asyncio.Future[Outcome]) -> None:
        try:
            await asyncio.wait({calling})
        finally:  # cancelled once more: there is no time to be gentle
            if not calling.done():
                self.kill()
                calling.cancel()

    async def _changed(self, files: tuple[SandboxFile, ...]) -> tuple[SandboxFile, ...]:
        now = await _digests(files)
        return tuple(file for file in files if self._seen.get(file.name) != now[file.name])


async def _digests(files: Iterable[SandboxFile]) -> dict[str, bytes]:
    """Fingerprint contents by name, in a thread if there are any: they may have many megabytes."""
    known = tuple(files)
    return await asyncio.to_thread(lambda: {file.name: _digest(file) for file in known}) if known else {}


def _digest(file: SandboxFile) -> bytes:
    return hashlib.blake2b(file.content, digest_size=16).digest()


class Sessions:
    """All sessions of a process. `await aclose()` ends them; the kernel does if the process is killed."""

    def __init__(self, opener: Opener, options: SessionOptions) -> None:
        self._opener = opener
        self._options = options
        self._live: OrderedDict[SessionKey, Session] = OrderedDict()  # the longest unused first
        self._ended: OrderedDict[SessionKey, SessionEnding] = OrderedDict()
        self._changed = asyncio.Condition()
        self._looking: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._live)

    @contextlib.asynccontextmanager
    async def hold(self, key: SessionKey, *, within_s: float | None = None) -> AsyncGenerator[Session]:
        """Wait for the session's turn, or for room for a new one, and hold it alone.

        Raises `NoSessions`, `SandboxBusy`.
        """
        if not self._options.most or not self._options.most_of_owner:
            raise NoSessions("its operator allows none")
        try:
            async with asyncio.timeout(within_s):
                session = await self._take(key)
        except TimeoutError:
            raise SandboxBusy("This session, or all there is room for, are busy; try again.", retry_after=1.0) from None
        try:
            yield session
        finally:
            await asyncio.shield(self._put_back(session))

    async def end_all(self) -> None:
        """End every session, those included in which a call is under way."""
        doomed = list(self._live.values())
        self._live.clear()
        for session in doomed:
            session.kill()
        await asyncio.gather(*(session.end() for session in doomed if not session.held))

    async def aclose(self) -> None:
        """End every session and look after them no more."""
        if self._looking:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None
        await self.end_all()

    async def _take(self, key: SessionKey) -> Session:
        async with self._changed:
            while True:
                session = self._live.get(key)
                if session and not session.held:
                    session.held = True
                    self._live.move_to_end(key)
                    return session
                if session is None and self._has_room_for(key):
                    break
                if session is None and (idle := self._least_useful_idle(key)):
                    await self._drop(idle, "room")
                    continue
                await self._changed.wait()
            session = self._live[key] = Session(key, self._opener, self._options, self._ended.pop(key, None))
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look_after())
            return session

    async def _put_back(self, session: Session) -> None:
        async with self._changed:
            session.held = False
            session.idle_since = asyncio.get_running_loop().time()
            if self._live.get(session.key) is not session:
                await session.end()  # all were ended meanwhile
            elif not session.begun:  # its caller got no slot
                await self._drop(session, session.before)
            elif not session.alive:
                await self._drop(session, "lost")
            self._changed.notify_all()

    def _of_owner(self, key: SessionKey) -> list[Session]:
        return [session for session in self._live.values() if session.key.owner == key.owner]

    def _has_room_for(self, key: SessionKey) -> bool:
        return len(self._live) < self._options.most and len(self._of_owner(key)) < self._options.most_of_owner

    def _least_useful_idle(self, key: SessionKey) -> Session | None:
        own = self._of_owner(key)
        among = own if len(own) >= self._options.most_of_owner else self._live.values()
        return next((session for session in among if not session.held), None)

    async def _drop(self, session: Session, why: SessionEnding | None) -> None:
        """End an idle session; cancelled, it is ended all the same."""
        del self._live[session.key]
        if why:
            self._ended[session.key] = why
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        await asyncio.shield(session.end())

    async def _look_after(self) -> None:
        """Drop sessions that were idle for long, and those that move though nobody calls them."""
        while True:
            await asyncio.sleep(min(_LOOK_EVERY_S, self._options.idle_s / 2))
            async with self._changed:
                now = asyncio.get_running_loop().time()
                for session in [session for session in self._live.values() if not session.held]:
                    if now - session.idle_since > self._options.idle_s:
                        await self._drop(session, "idle")
                    elif not session.stands_still():
                        _log.warning("sandbox_session_moved", service=session.key.service)
                        await self._drop(session, "restless")
                self._changed.notify_all()
