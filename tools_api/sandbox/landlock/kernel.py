"""What this kernel's Landlock can do, and the numbers of its interface (`linux/landlock.h`)."""

import ctypes
import os
import sys
from enum import IntFlag

_CREATE_RULESET = 444
_QUERY_VERSION = 1

SIGNALS_SINCE = 6
"""The ABI since which a domain keeps signals and abstract sockets in (Linux 6.12)."""


class Access(IntFlag):
    """What may be done with a file or below a folder; each with the ABI that brought it, the first if none."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13  # 2
    TRUNCATE = 1 << 14  # 3
    IOCTL_DEV = 1 << 15  # 5

    def known_to(self, abi: int) -> "Access":
        """Leave out what the kernel does not know; naming it would be an error."""
        newer = Access(0)
        for access, since in ((Access.REFER, 2), (Access.TRUNCATE, 3), (Access.IOCTL_DEV, 5)):
            if abi < since:
                newer |= access
        return self & ~newer


ALL = Access((1 << 16) - 1)
OF_A_FILE = Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE | Access.IOCTL_DEV
"""A rule about a file may name these alone."""
READ = Access.EXECUTE | Access.READ_FILE | Access.READ_DIR
USE = READ | (
    Access.WRITE_FILE
    | Access.TRUNCATE
    | Access.REMOVE_DIR
    | Access.REMOVE_FILE
    | Access.MAKE_DIR
    | Access.MAKE_REG
    | Access.MAKE_FIFO
    | Access.MAKE_SYM
    | Access.REFER
)
"""All that a program does with files of its own."""


def landlock_abi() -> int:
    """Ask the kernel for its version of Landlock's interface; 0 if it has none or keeps it off."""
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    version: int = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_QUERY_VERSION))
    return max(version, 0)


def tasks_of(uid: int) -> int:
    """Count the threads of all processes of a uid: what RLIMIT_NPROC counts outside of user namespaces."""
    count = 0
    for name in os.listdir("/proc"):  # noqa: PTH208
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:  # noqa: PTH116
                count += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208
        except OSError:
            continue  # it has ended
    return count
