"""The command line in a pseudo-terminal: for what only happens where a person sits."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60

IN_A_TERMINAL = """
import fcntl, runpy, signal, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that typing Ctrl-C sends SIGINT
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
runpy.run_module("cli", run_name="__main__")
"""


class Terminal:
    """`twinport` with these arguments and variables, read as it appears on the screen."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL, *arguments],
            cwd=ROOT,
            env={**os.environ, "TERM": "dumb", "NO_COLOR": "1", **variables},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._unread = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, wanted: str) -> str:
        """Return what appears up to and with `wanted`."""
        end = time.monotonic() + PATIENCE_S
        while wanted not in self._unread:
            ready, _, _ = select.select([self._master], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {wanted!r} in {self._unread!r}")
            self._unread += os.read(self._master, 4096).decode()
        seen, _, self._unread = self._unread.partition(wanted)
        return seen + wanted

    def leave(self, command: str = "") -> int:
        """Return the exit status, after typing a last line if one is given."""
        if command:
            self.type(command + "\n")
        try:
            return self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            os.close(self._master)
