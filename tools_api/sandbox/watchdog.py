"""Watches a run from outside: memory in sum, processor time in sum, number of files. Kills nothing itself.

With control groups it only reads counters. Without, it adds up the process tree every few milliseconds: a run may
overshoot its limit by what it can allocate in one interval.
"""

import asyncio
import math
import os

from tools_api.sandbox.bubblewrap import WORKSPACE
from tools_api.sandbox.cgroup import Cgroup, Usage
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import LimitName
from tools_api.sandbox.process_tree import cpu_s_and_threads, descendants, proportional_bytes, resident_bytes

_CGROUP_INTERVAL_S = 0.1
_TREE_INTERVAL_S = 0.025
_TMPFS = (WORKSPACE, "/tmp", "/dev/shm")  # noqa: S108 - the sandbox's own


class Watchdog:
    """Follows one run from the moment its supervisor stands; `usage` is the latest reading, its peak the highest."""

    def __init__(self, pid: int, limits: Limits, cgroup: Cgroup | None, *, before: Usage | None = None) -> None:
        """Watch from now on; `before` is what the sandbox had used by then."""
        self.usage = before or Usage()
        self._most_cpu_s = limits.cpu_s + self.usage.cpu_s
        self._pid = pid
        self._limits = limits
        self._cgroup = cgroup
        self._at_first = cgroup.usage() if cgroup else Usage(tasks=_tasks(pid))
        self._most_tasks = 0

    @property
    def processes(self) -> int:
        """The most processes and threads that were seen at once beside those that stood before the job began."""
        return max(1, self._most_tasks - self._at_first.tasks)

    async def wait_for_breach(self) -> LimitName:
        """Return the first limit that the run exceeds; runs for ever while it keeps them."""
        interval = _CGROUP_INTERVAL_S if self._cgroup else _TREE_INTERVAL_S
        while True:
            if breach := await self.read():
                return breach
            await asyncio.sleep(interval)

    def forgive_cpu(self) -> None:
        """Look at processor time no more."""
        self._most_cpu_s = math.inf

    async def read(self) -> LimitName | None:
        """Take a reading and say which limit it exceeds."""
        if self._cgroup:
            self.usage = self._cgroup.usage()
            risen = self.usage.most_tasks > self._at_first.most_tasks  # else it is of the sandbox's own beginning
            self._most_tasks = max(self._most_tasks, self.usage.most_tasks if risen else self.usage.tasks)
            if self.usage.killed:
                return "memory"
        else:
            crowded = await asyncio.to_thread(self._read_tree)
            if crowded:
                return "files"
            if self.usage.memory_bytes > self._limits.memory_bytes:
                return "memory"
        return "cpu" if self.usage.cpu_s > self._most_cpu_s else None

    def _read_tree(self) -> bool:
        """Add up the processes below bwrap; say whether a tmpfs holds too many files."""
        pids = list(descendants(self._pid))
        memory = sum(map(resident_bytes, pids))
        if memory > self._limits.memory_bytes:  # pages that forks share were counted once each
            memory = sum(map(proportional_bytes, pids))
        counted = [cpu_s_and_threads(pid) for pid in (self._pid, *pids)]
        tasks = sum(threads for _, threads in counted)
        self._most_tasks = max(self._most_tasks, tasks)
        self.usage = Usage(
            cpu_s=max(sum(seconds for seconds, _ in counted), self.usage.cpu_s),
            memory_bytes=memory,
            peak_bytes=max(memory, self.usage.peak_bytes),
            tasks=tasks,
        )
        return self.is_crowded(pids)

    def is_crowded(self, pids: list[int]) -> bool:
        """Say whether these processes keep more files than they may. Called in a thread, at every reading."""
        return _most_inodes(pids) > self._limits.inodes


def _tasks(pid: int) -> int:
    return sum(cpu_s_and_threads(member)[1] for member in (pid, *descendants(pid)))


def _most_inodes(pids: list[int]) -> int:
    """Count the files of the fullest tmpfs, seen through any process inside; roots there are read-only, so no link
    leads out."""
    for pid in pids:
        try:
            spaces = [os.statvfs(f"/proc/{pid}/root{path}") for path in _TMPFS]
        except OSError:
            continue  # it has ended, or may not be looked into
        return max(space.f_files - space.f_ffree for space in spaces)
    return 0
