"""Makes all that runs in a sandbox stand still, and go on. What is between two calls of a session uses no processor.

By signals from outside, which nothing inside can refuse. A timer that the code has set may still wake a process up
(SIGCONT); so `is_at_rest` is asked again from time to time, and whoever moves without a call is ended.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from tools_api.sandbox.process_tree import descendants

_FIRST_PAUSE_S = 0.0005
_STANDING = frozenset("TtZX")
"""proc_pid_stat(5): stopped, traced, dead but not yet reaped."""
_WAITING = _STANDING | {"D"}
"""A parent may wait in vfork(2) for a child that is stopped; if it was told to stop, it will when it comes out."""


async def bring_to_rest(pid: int, *, within_s: float) -> bool:
    """Stop a process and all its descendants; False if they could not be made to stand still in time.

    One look may miss the child of a process that forked as it was stopped; none can be born after a look that found
    all of them stopped, so two looks in a row have to find the same ones.
    """
    ends = time.monotonic() + within_s
    pause_s = _FIRST_PAUSE_S
    told: set[int] = set()
    before: frozenset[int] | None = None
    while True:
        family, moving = _look_at(pid, told)
        if not moving and family == before:
            return True
        if time.monotonic() > ends:
            return False
        before = None if moving else family
        _send(moving, signal.SIGSTOP)
        told.update(moving)
        if moving:
            await asyncio.sleep(pause_s)
            pause_s *= 1.5


def is_at_rest(pid: int) -> bool:
    """Say whether a process and all its descendants stand still."""
    family = [pid, *descendants(pid)]
    return not _look_at(pid, family)[1]


def wake(pid: int) -> None:
    """Let a process and all its descendants go on."""
    _send([pid, *descendants(pid)], signal.SIGCONT)


def _look_at(pid: int, told: Collection[int]) -> tuple[frozenset[int], list[int]]:
    """Return a process with its descendants, and those of them that move; `told` are those that a signal awaits."""
    family = [pid, *descendants(pid)]
    moving = [member for member in family if not _states(member) <= (_WAITING if member in told else _STANDING)]
    return frozenset(family), moving


def _states(pid: int) -> set[str]:
    """Return the states of a process's threads; the first one's alone would not do, it may have ended before others."""
    states: set[str] = set()
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - called at the end of every call
            states.add(Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()[0])
    except OSError:
        return states  # it has ended
    return states


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
