"""A kept run as the host holds it: the keeper's process, and how the run ends."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from tools_api.sandbox.process import BubblewrapProcess, SandboxBroken
from tools_api.sandbox.process_tree import descendants

_CONFINED = {
    "CapPrm": "0000000000000000",
    "CapEff": "0000000000000000",
    "NoNewPrivs": "1",
    "Seccomp": "2",
}
"""What the kernel must say about a confined process (proc_pid_status(5)). Of Landlock it says nothing."""


class KeptProcess(BubblewrapProcess):
    """A keeper, whose descendants are the run, instead of a bwrap; it ends with the run."""

    def __init__(self, process: asyncio.subprocess.Process, result: asyncio.StreamReader, uid: int) -> None:
        super().__init__(process, result)
        self._uid = uid

    def check(self) -> None:
        """Have the kernel confirm who runs and how confined, from outside. Raises `SandboxBroken`."""
        pids = list(descendants(self.pid))
        if not pids:
            raise SandboxBroken("it ended before it began")
        for pid in pids:
            status = _status(pid)
            if self._uid == 0 or set(status.get("Uid", "").split()) != {str(self._uid)}:
                raise SandboxBroken("it runs under another uid than its own")
            if wrong := [name for name, value in _CONFINED.items() if status.get(name) != value]:
                raise SandboxBroken(f"the kernel does not confine it ({', '.join(wrong)})")

    def kill(self) -> None:
        """Have the keeper kill the run, which it does at once for all. Before it listens it keeps nothing, and dies."""
        self._signal(signal.SIGTERM)

    async def gone(self) -> None:
        """Kill it and wait until nothing of it is left."""
        await super().gone()
        self._signal(signal.SIGKILL)  # only if it did not go

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
