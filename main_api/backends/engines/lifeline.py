"""What every engine child does first: hear from its parent, and never outlive it.

The parent writes one JSON line to stdin (`{"parent_pid", "api_key"}`) and keeps the pipe open; its end means that the
parent is gone, however it went. On Linux the kernel kills the child too (PR_SET_PDEATHSIG), even one that hangs in
native code. The child answers with one JSON line on stdout, `{"url"}` or `{"failed"}`; everything else that it or its
libraries print goes to the log.
"""

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn, TextIO

_PR_SET_PDEATHSIG = 1


class Lifeline:
    """The child's tie to its parent. `api_key` is the key that the engine must ask of its callers."""

    def __init__(self, api_key: str, announcements: TextIO) -> None:
        self.api_key = api_key
        self._announcements = announcements
        self._last_act: Callable[[], None] = lambda: None
        self._watcher = threading.Thread(target=self._watch, name="lifeline", daemon=True)
        self._watcher.start()

    def ready(self, url: str) -> None:
        """Tell the parent where the engine listens."""
        self._say({"url": url})

    def failed(self, reason: str) -> NoReturn:
        """Tell the parent in plain words why there will be no engine, and end."""
        self._say({"failed": reason})
        os._exit(1)

    def at_end(self, act: Callable[[], None]) -> None:
        """Do `act` when the parent is gone, before this process ends."""
        self._last_act = act

    def hold(self) -> None:
        """Block until the parent lets go; the process then ends."""
        self._watcher.join()

    def _say(self, message: dict[str, str]) -> None:
        self._announcements.write(json.dumps(message) + "\n")
        self._announcements.flush()

    def _watch(self) -> None:
        while os.read(0, 4096):
            pass
        self._last_act()
        os._exit(0)


def attach() -> Lifeline:
    """Take up the lifeline; call it before anything that may take long."""
    announcements = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    greeting = json.loads(sys.stdin.buffer.readline())
    die_with(greeting["parent_pid"])
    return Lifeline(greeting["api_key"], announcements)


def die_with(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent dies, where the kernel can do that."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the call
        os._exit(1)
