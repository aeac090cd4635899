"""Finds processes on the host by a word in their command line, in or outside of any sandbox."""

import asyncio
import secrets
import time
from pathlib import Path

PATIENCE_S = 120.0


def new_marker() -> str:
    """Return a word that `sleep` takes for a number, after another one."""
    return f"0.{secrets.randbelow(10**18):018}"


def alive(marker: str) -> list[int]:
    """Return the processes whose command line has the marker."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it has ended
    return found


async def until_alive(marker: str, *, count: int = 1) -> list[int]:
    """Wait until that many processes have the marker."""
    deadline = time.monotonic() + PATIENCE_S
    while len(found := alive(marker)) < count:
        assert time.monotonic() < deadline, "it was never seen"
        await asyncio.sleep(0.02)
    return found


async def until_gone(marker: str) -> None:
    """Wait until no process has the marker."""
    deadline = time.monotonic() + PATIENCE_S
    while found := alive(marker):
        assert time.monotonic() < deadline, f"still there: {found}"
        await asyncio.sleep(0.02)
