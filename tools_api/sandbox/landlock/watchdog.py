"""Watches a run without namespaces: the processes as ever, and the folders that nothing else bounds."""

import time

from tools_api.sandbox.cgroup import Cgroup
from tools_api.sandbox.landlock.folders import RunFolder, used
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.watchdog import Watchdog

_INTERVAL_S = 0.1


class FolderWatchdog(Watchdog):
    """Adds the sizes of the run's folders to what is watched: too much in them ends the run.

    What it finds is what was there at the time: a run may write more in an interval, within its limit of one file, and
    keeps the space of files that it has deleted and still holds open.
    """

    def __init__(self, pid: int, limits: Limits, cgroup: Cgroup | None, *, folder: RunFolder) -> None:
        super().__init__(pid, limits, cgroup)
        self._most = limits
        self._folder = folder
        self._looks_at = 0.0

    def is_crowded(self, pids: list[int]) -> bool:
        """Add up the folders, from time to time."""
        del pids
        now = time.monotonic()
        if now < self._looks_at:
            return False
        crowded = any(
            not (found := used(path, most_entries=self._most.inodes)).fathomed or found.size > most
            for path, most in (
                (self._folder.workspace, self._most.workspace_bytes),
                (self._folder.temporary, self._most.scratch_bytes),
            )
        )
        self._looks_at = time.monotonic() + _INTERVAL_S
        return crowded
