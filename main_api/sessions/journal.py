"""An append-only file of lines that survives `kill -9` at any byte and a full disk. Knows bytes, not sessions.

* A line goes out in one `write` on an `O_APPEND` descriptor, under an exclusive `flock`, so that lines of two threads
  or two processes never mix.
* What a crash may leave is a last line without its newline. The next writer cuts it off first; readers pass over it.
* A write that the disk cuts short is cut off at once, and the caller gets `StorageFull`.
* With `sync`, `append` returns after `fdatasync`: an acknowledged line survives a power cut. Without it, it survives
  the death of the process (the kernel has the bytes) but perhaps not the death of the machine.

Not covered: bytes that change on the disk by themselves, and file systems without working `flock` (old NFS).
"""

import errno
import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.durable import sync_folder
from shared.errors import StorageFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BLOCK = 65_536


class DiskFull(StorageFull):
    """The disk of the data folder is full; what was to be written is not there, not even in part."""

    retryable = True

    def __init__(self) -> None:
        super().__init__("The server's disk is full: the message could not be stored. Free some space and try again.")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells whether a file changed: its size in bytes and its time of change in nanoseconds."""

    size: int
    mtime_ns: int


class Journal:
    """One file, opened and locked for writing; made by `created` and `opened`."""

    def __init__(self, descriptor: int, *, sync: bool) -> None:
        self._descriptor = descriptor
        self._sync = sync

    def stamp(self) -> Stamp:
        status = os.fstat(self._descriptor)
        return Stamp(status.st_size, status.st_mtime_ns)

    def append(self, lines: bytes) -> None:
        """Append whole lines, all or nothing. Raises `DiskFull`."""
        before = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, lines)
            if written == len(lines) and self._sync:
                _fdatasync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, before)
            if error.errno in _FULL:
                raise DiskFull from None
            raise
        if written < len(lines):
            os.ftruncate(self._descriptor, before)
            raise DiskFull

    def repair(self) -> int:
        """Cut off a torn last line; return how many bytes it had."""
        size = os.fstat(self._descriptor).st_size
        whole = _end_of_last_line(self._descriptor, size)
        if whole < size:
            os.ftruncate(self._descriptor, whole)
        return size - whole

    def read_lines(self) -> list[bytes]:
        return _complete_lines(_read_all(self._descriptor))


@contextmanager
def created(path: Path, *, sync: bool) -> Generator[Journal]:
    """Make a new file (0600) and hold it locked; if the body fails, the file is gone again. Raises `DiskFull`."""
    new_folder = not path.parent.exists()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull from None
        raise
    complete = False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield Journal(descriptor, sync=sync)
        if sync:
            sync_folder(path.parent)  # the name of a new file is the folder's content
        if sync and new_folder:
            sync_folder(path.parent.parent)
        complete = True
    finally:
        if not complete:
            path.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def opened(path: Path, *, sync: bool) -> Generator[Journal]:
    """Open an existing file and hold it locked. Raises `FileNotFoundError`, also when it is deleted meanwhile."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, "deleted while waiting for its lock")
        yield Journal(descriptor, sync=sync)
    finally:
        os.close(descriptor)  # and with it the lock


def read_lines(path: Path) -> list[bytes]:
    """Read the complete lines without taking the lock. Raises `FileNotFoundError`."""
    return _complete_lines(path.read_bytes())


def _complete_lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]  # what follows the last newline is nothing, or torn


def _read_all(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    blocks: list[bytes] = []
    position = 0
    while position < size and (block := os.pread(descriptor, size - position, position)):
        blocks.append(block)
        position += len(block)
    return b"".join(blocks)


def _end_of_last_line(descriptor: int, size: int) -> int:
    """Return the offset behind the last newline, reading backwards from `size`."""
    end = size
    while end > 0:
        start = max(0, end - (1 if end == size else _BLOCK))  # nearly always the very last byte is the newline
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _fdatasync(descriptor: int) -> None:
    sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
    sync(descriptor)
