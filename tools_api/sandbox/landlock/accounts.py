"""Under which uid a run without namespaces runs: one that nobody else has at the time, if the service can give it one.

Root gives each run a uid of its own, so that runs can't signal each other on any kernel, their processes are counted
apart, and everything of a run can be found by its uid. An ordinary user has only itself to give.
"""

import contextlib
import os
import signal
import socket
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tools_api.sandbox.host_user import HostUserUnusable, open_to_all
from tools_api.sandbox.landlock.kernel import tasks_of
from tools_api.sandbox.outcome import ReadOnlyTree

UIDS = range(60_600, 60_990)
"""Between systemd's ranges for containers and for dynamic users, where no distribution puts anyone."""


class NoAccount(Exception):
    """There is no uid for a run now; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """A run's uid, None for the service's own, and how many processes and threads have it already."""

    uid: int | None
    tasks: int = 0


class Accounts(Protocol):
    """Gives runs their uids."""

    def claim(self, trees: tuple[ReadOnlyTree, ...]) -> contextlib.AbstractContextManager[Account]:
        """Give a uid that can read `trees`, for as long as the context lasts. Blocks a little. Raises `NoAccount`."""
        ...


class OwnAccount:
    """The service runs without privileges: so do the runs, as the same user."""

    @contextlib.contextmanager
    def claim(self, trees: tuple[ReadOnlyTree, ...]) -> Generator[Account]:
        """Give the service's own."""
        del trees  # what it can read, they can read
        yield Account(None, tasks_of(os.geteuid()))


class DedicatedAccounts:
    """The service runs as root: every run gets a uid for itself."""

    @contextlib.contextmanager
    def claim(self, trees: tuple[ReadOnlyTree, ...]) -> Generator[Account]:
        """Give a uid that no process has and no other service of this machine has claimed; see that none is left."""
        _must_be_readable(trees)
        for uid in UIDS:
            with contextlib.ExitStack() as claimed:
                if not _lock(uid, claimed) or _processes_of(uid):
                    continue
                try:
                    yield Account(uid)
                finally:
                    _kill_processes_of(uid)
                return
        raise NoAccount(f"the uids {UIDS[0]} to {UIDS[-1]}, which runs get, are all in use")


def _must_be_readable(trees: tuple[ReadOnlyTree, ...]) -> None:
    try:
        hidden = [tree.source.name for tree in trees if not open_to_all(tree.source)]
    except HostUserUnusable as error:
        raise NoAccount(str(error)) from None
    if hidden:
        raise NoAccount(
            f"{hidden[0]} lies where other users may not look, so a run could not read it: "
            "run the service as an ordinary user, or use a Python that everyone can read"
        )


def _lock(uid: int, claimed: contextlib.ExitStack) -> bool:
    """Hold the uid by a name that the kernel forgets with us: an abstract socket's."""
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(f"\0twinport-run-{uid}")
    except OSError:
        holder.close()
        return False
    claimed.callback(holder.close)
    return True


def _processes_of(uid: int) -> list[int]:
    found: list[int] = []
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdigit() and path.stat().st_uid == uid:
                found.append(int(path.name))
        except OSError:
            continue  # it has ended
    return found


def _kill_processes_of(uid: int) -> None:
    """Kill what a keeper has left, which it only does when someone else has killed it."""
    for pid in _processes_of(uid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
