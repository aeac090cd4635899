"""Fails if the tests left processes behind: `python -m tests.leftovers SINCE`, the start of the checks in Unix seconds.

A process is left behind if it began since then, was started from this folder or on a test's own folder, and its parent
has gone. Others who work in the same folder are not disturbed by it, and do not disturb it.
"""

import sys
import time
from pathlib import Path

import psutil

_ROOT = str(Path(__file__).resolve().parents[1])
_MARKS = (f"{_ROOT}/", "/pytest-of-")
_PATIENCE_S = 10.0


def main() -> int:
    since = float(sys.argv[1])
    deadline = time.monotonic() + _PATIENCE_S
    while left := left_behind(since):
        if time.monotonic() > deadline:
            print("The tests left processes behind:", *left, sep="\n  ")
            return 1
        time.sleep(0.2)
    return 0


def left_behind(since: float) -> list[str]:
    """Return the process ids and commands."""
    found: list[str] = []
    for process in psutil.process_iter(["pid", "ppid", "create_time", "cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        orphan = process.info["ppid"] == 1 and process.pid != psutil.Process().pid
        if orphan and process.info["create_time"] >= since and any(mark in command for mark in _MARKS):
            found.append(f"{process.pid} {command[:200]}")
    return found


if __name__ == "__main__":
    sys.exit(main())
