"""The journal: append-only files that hold usage until it is in the database.

`append` costs one `write` to a file opened with O_APPEND: what it accepted survives `kill -9` of the process (not a
power cut: there is no fsync on the hot path). A process appends to a segment of its own and holds a lock on it while
it does; when the process dies the kernel lets go of the lock, and the next one to start takes the segment over.
"""

import fcntl
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from time import time_ns
from typing import Final

from shared.logging import get_logger

_log = get_logger("usage")

_MAX_HELD_LINES: Final = 10_000
"""Lines that are kept in memory while the disk is full; then the oldest are lost, and it is said in the log."""


class Journal:
    """The segments in one folder, which several processes may share.

    `append`, `rotate` and `close` belong to one thread; `leftovers` may run in another.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segment: Path | None = None
        self._descriptor = -1
        self._torn = False
        self._written = 0
        self._held: deque[bytes] = deque()
        self._lost = 0

    def append(self, line: bytes) -> None:
        """Append one line; a disk that is full or gone does not raise: the line waits in memory."""
        if self._held or not self._write(line):
            self._hold(line)

    def rotate(self) -> Path | None:
        """Close the current segment and return it, or None if nothing was written to it."""
        self._write_held()
        if self._segment is None or not self._written:
            return None
        segment = self._segment
        self._close()
        return segment

    def leftovers(self) -> Iterator[Path]:
        """Yield the segments of processes that are gone, oldest first; what a living one writes to is left alone."""
        for segment in sorted(self._folder.glob("*.jsonl")):
            if segment != self._segment and not _is_in_use(segment):
                yield segment

    def close(self) -> None:
        """Stop appending. What is still held in memory is lost, and counted in the log."""
        self._write_held()
        self._lost += len(self._held)
        self._held.clear()
        if self._lost:
            _log.error("usage lost: the disk was full", lines=self._lost)
        if self._segment is not None and not self._written:
            self._segment.unlink(missing_ok=True)
        self._close()

    def _write(self, line: bytes) -> bool:
        try:
            if self._descriptor < 0:
                self._open()
            # after a torn line a new one begins: the torn one is dropped by the reader, this one is not
            data = b"\n" + line if self._torn else line
            written = os.write(self._descriptor, data)
        except OSError as error:
            _log.error("usage cannot be written", errno=error.errno, held=len(self._held))
            return False
        self._written += written
        self._torn = written < len(data)
        return not self._torn

    def _open(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        segment = self._folder / f"{time_ns():020d}-{os.getpid()}-{token_hex(4)}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        # Created under a name that no reader looks for, and locked before it gets its own: there is no moment at
        # which somebody else could take the segment for a dead one's
        draft = segment.with_suffix(".new")
        descriptor = os.open(draft, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.rename(segment)
        except OSError:
            os.close(descriptor)
            draft.unlink(missing_ok=True)
            raise
        self._segment, self._descriptor, self._written, self._torn = segment, descriptor, 0, False

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._segment, self._descriptor, self._written, self._torn = None, -1, 0, False

    def _hold(self, line: bytes) -> None:
        if len(self._held) >= _MAX_HELD_LINES:
            self._held.popleft()
            self._lost += 1
        self._held.append(line)

    def _write_held(self) -> None:
        while self._held and self._write(self._held[0]):
            self._held.popleft()


def _is_in_use(segment: Path) -> bool:
    """Say whether a living process holds the lock of a segment."""
    try:
        descriptor = os.open(segment, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True  # somebody else has just finished with it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
