"""Opens what lies below a folder and nothing else: follows no link, enters no mount, waits for no device or pipe.

The kernel checks it in one call (`openat2`, Linux 5.6 and later). Where that call is missing, a walk does the same by
hand: one component after the other, each opened below its parent's descriptor and held against the folder's mount.
"""

import ctypes
import errno
import functools
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

_OPENAT2 = 437  # the same on x86_64, aarch64 and every other architecture that Python runs on
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x01, 0x02, 0x04, 0x08
_RESOLVE = _NO_XDEV | _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH
_ALWAYS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | _ALWAYS
_ATTEMPTS = 8  # EAGAIN: something was renamed while the kernel looked


class _OpenHow(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_folder(folder: Path) -> int:
    """Open a folder that our own code names, to look below it. Raises `OSError`, also if it is a link."""
    return os.open(folder, _FOLDER)


def open_beneath(folder: int, path: str, flags: int, mode: int = 0) -> int:
    """Open the relative `path` below the descriptor `folder`. Raises `OSError` for what leads elsewhere."""
    if has_openat2():
        return _openat2(folder, path, flags | _ALWAYS, mode)
    return _walk(folder, path, flags | _ALWAYS, mode)


def open_folder_beneath(folder: int, path: str) -> int:
    """Open a folder below the descriptor `folder`. Raises `OSError`."""
    return open_beneath(folder, path, _FOLDER)


def read_beneath(folder: int, path: str, at_most: int) -> bytes | None:
    """Read a plain file, at most one byte more than `at_most`; None if it is anything else or not to be had."""
    try:
        descriptor = open_beneath(folder, path, os.O_RDONLY)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(at_most + 1)


@functools.cache
def has_openat2() -> bool:
    """Ask the kernel. Filters of older containers answer EPERM for calls that they don't know."""
    if sys.platform != "linux":
        return False
    root = os.open("/", _FOLDER)
    try:
        os.close(_openat2(root, ".", _FOLDER, 0))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


@functools.cache
def _syscall() -> Callable[..., int]:
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    return function


def _openat2(folder: int, path: str, flags: int, mode: int) -> int:
    how = _OpenHow(flags, mode if flags & os.O_CREAT else 0, _RESOLVE)
    arguments = (
        *(ctypes.c_long(_OPENAT2), ctypes.c_int(folder), ctypes.c_char_p(os.fsencode(path))),
        *(ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))),
    )
    code = 0
    for _ in range(_ATTEMPTS):
        descriptor = _syscall()(*arguments)
        if descriptor >= 0:
            return descriptor
        code = ctypes.get_errno()
        if code not in {errno.EAGAIN, errno.EINTR}:
            break
    raise OSError(code, os.strerror(code), path)


def _walk(folder: int, path: str, flags: int, mode: int) -> int:
    """Do what openat2 does; each folder is left as soon as the next one is open."""
    parts = [part for part in path.split("/") if part not in {"", "."}] or ["."]
    if path.startswith("/") or ".." in parts:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    mount = _mount(folder)
    current = folder
    try:
        for part in parts[:-1]:
            current = _step(current, os.open(part, _FOLDER, dir_fd=current), folder, mount)
        return _step(current, os.open(parts[-1], flags, mode, dir_fd=current), folder, mount)
    except OSError:
        if current != folder:
            os.close(current)
        raise


def _step(parent: int, child: int, folder: int, mount: str) -> int:
    """Go on to `child`, which must be of the same mount. Raises `OSError`, and has closed `child` then."""
    if _mount(child) != mount:
        os.close(child)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    if parent != folder:
        os.close(parent)
    return child


def _mount(descriptor: int) -> str:
    """Name the mount that a descriptor is on; where /proc does not tell, the device."""
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    except OSError:
        lines = []
    found = next((line for line in lines if line.startswith("mnt_id:")), None)
    return found or f"device {os.fstat(descriptor).st_dev}"
