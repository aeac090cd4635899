"""Whose call runs next: each tool has some slots, and callers take turns, so that none waits for another's hundred.

A caller is a service (the name of its key) and the one whom it acts for. Services take turns first, then the callers of
a service (the persons for whom it calls, or its workspaces): who makes up many workspaces gains nothing over other
services. Where a tool has several slots, one caller never holds the last.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import Gauge

from shared.errors import RateLimited

_WAITING = Gauge("twinport_tool_calls_waiting", "Tool calls that wait for their turn", ["tool"])
_RUNNING = Gauge("twinport_tool_calls_running", "Tool calls that hold a slot", ["tool"])

_USUAL_SLOTS = 64
_CALLERS_WORTH = 8
"""How many callers' lines the waiting calls of one service may fill."""


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom a call is: a service, and the workspace or user that it acts for."""

    service: str
    acting_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What one service may have of one tool: `running` calls at once, and `waiting` more of each of its callers."""

    running: int = 64
    waiting: int = 512


class FairSlots:
    """The `slots` of one tool. First `place`, which bounds the line; then, when all else is ready, `turn`."""

    def __init__(self, tool: str, slots: int, shares: Shares) -> None:
        self._shares = shares
        self._free = slots
        self._most_of_caller = max(1, slots - 1)
        self._present: Counter[Caller | str] = Counter()
        self._running: Counter[Caller | str] = Counter()
        self._lines: dict[str, dict[Caller, deque[asyncio.Future[None]]]] = {}  # whose turn is next comes first
        self._waiting_gauge = _WAITING.labels(tool)
        self._running_gauge = _RUNNING.labels(tool)

    @asynccontextmanager
    async def place(self, caller: Caller) -> AsyncGenerator[None]:
        """Hold a place for a call until its end. Raises `RateLimited` when too many of this caller are there."""
        most = self._shares.waiting + min(self._most_of_caller, self._shares.running)
        if self._present[caller] >= most or self._present[caller.service] >= most * _CALLERS_WORTH:
            raise RateLimited("You have too many calls of this tool open at once; try again shortly.", retry_after=1)
        self._count(self._present, caller, 1)
        self._waiting_gauge.inc()
        try:
            yield
        finally:
            self._count(self._present, caller, -1)
            self._waiting_gauge.dec()

    @asynccontextmanager
    async def turn(self, caller: Caller) -> AsyncGenerator[None]:
        """Wait for a slot and hold it."""
        await self._wait(caller)
        self._waiting_gauge.dec()
        try:
            with self._running_gauge.track_inprogress():
                yield
        finally:
            self._waiting_gauge.inc()  # until it leaves its place
            self._release(caller)

    async def _wait(self, caller: Caller) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(caller.service, {}).setdefault(caller, deque()).append(turn)
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(caller, turn)
            else:  # its turn came in the moment in which it gave up
                self._release(caller)
            raise

    def _grant(self) -> None:
        while self._free and (caller := self._next()):
            turns = self._take_line(caller)
            turn = turns.popleft()
            if turns:
                self._lines.setdefault(caller.service, {})[caller] = turns
            if turn.cancelled():
                continue
            self._free -= 1
            self._count(self._running, caller, 1)
            turn.set_result(None)

    def _next(self) -> Caller | None:
        for service, lines in self._lines.items():
            if self._running[service] < self._shares.running:
                for caller in lines:
                    if self._running[caller] < self._most_of_caller:
                        return caller
        return None

    def _take_line(self, caller: Caller) -> deque[asyncio.Future[None]]:
        """Take a caller's line out, and put its service behind the others."""
        lines = self._lines.pop(caller.service)
        turns = lines.pop(caller)
        if lines:
            self._lines[caller.service] = lines
        return turns

    def _leave(self, caller: Caller, turn: asyncio.Future[None]) -> None:
        lines = self._lines.get(caller.service, {})
        turns = lines.get(caller)
        if turns is None or turn not in turns:
            return
        turns.remove(turn)
        if not turns:
            del lines[caller]
        if not lines:
            del self._lines[caller.service]

    def _release(self, caller: Caller) -> None:
        self._free += 1
        self._count(self._running, caller, -1)
        self._grant()

    @staticmethod
    def _count(counts: Counter[Caller | str], caller: Caller, change: int) -> None:
        for name in (caller, caller.service):
            counts[name] += change
            if not counts[name]:
                del counts[name]


class ToolSlots:
    """The slots of every tool; `by_tool` names those that have fewer or more than usual."""

    def __init__(self, shares: Shares, by_tool: Mapping[str, int] | None = None) -> None:
        self._shares = shares
        self._sizes = dict(by_tool or {})
        self._slots: dict[str, FairSlots] = {}

    def of(self, tool: str) -> FairSlots:
        """Return the slots of one tool, the same ones every time."""
        if tool not in self._slots:
            self._slots[tool] = FairSlots(tool, self._sizes.get(tool, _USUAL_SLOTS), self._shares)
        return self._slots[tool]
