"""Watches a run at the level `wasi` from outside, where there is /proc to look into."""

from dataclasses import replace

from tools_api.sandbox.cgroup import Cgroup
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.watchdog import Watchdog

_ENGINE_BYTES = 256 << 20
"""What interpreter, library, engine and the pages shared with the server may take besides the code's own memory."""


class WasiWatchdog(Watchdog):
    """Adds up the run's process. The store limits its memory already; this limits what the engine needs beside it."""

    def __init__(self, pid: int, limits: Limits, cgroup: Cgroup | None) -> None:
        super().__init__(pid, replace(limits, memory_bytes=limits.memory_bytes + _ENGINE_BYTES), cgroup)

    def is_crowded(self, pids: list[int]) -> bool:
        """Leave the files to the keeper, which counts them itself."""
        return False
