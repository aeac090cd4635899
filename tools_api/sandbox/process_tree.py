"""What the host's kernel says about a process and all that come from it, through /proc. Reads only.

Processes end while they are looked at; what has ended counts nothing.
"""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int) -> Iterator[int]:
    """Walk the children of a process and theirs, parents first."""
    waiting = [pid]
    while waiting:
        for child in _children(waiting.pop()):
            yield child
            waiting.append(child)


def _children(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - called forty times a second
        texts = [Path(f"/proc/{pid}/task/{thread}/children").read_text() for thread in threads]
    except OSError:
        return []  # it has ended
    return [int(child) for text in texts for child in text.split()]


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory; pages that it shares count in full."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def proportional_bytes(pid: int) -> int:
    """Return a process's memory, each page divided by the number of processes that share it. Slower."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return resident_bytes(pid)
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_s_and_threads(pid: int) -> tuple[float, int]:
    """Return the user and system seconds of a process and of its children that have ended, and its threads now."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0
    return (sum(map(int, fields[11:15])) / _TICKS, int(fields[17])) if len(fields) > 17 else (0.0, 0)


def kernel_uids(pid: int) -> set[int]:
    """Return the uids, as the service sees them, under which a process and its descendants run."""
    uids: set[int] = set()
    for member in (pid, *descendants(pid)):
        try:
            lines = Path(f"/proc/{member}/status").read_text().splitlines()
        except OSError:
            continue
        uids.update(int(uid) for line in lines if line.startswith("Uid:") for uid in line.split()[1:])
    return uids
