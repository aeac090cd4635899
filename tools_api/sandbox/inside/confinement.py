"""How a fork of the zygote becomes a sandbox: namespaces, mounts, no privileges, the filter. Linux system calls only.

It does for a process that already runs what bubblewrap does for one that it starts; `tools_api/sandbox/bubblewrap.py`
and this file keep the same rules. Everything that can fail raises `OSError`; then the fork must end.
"""

from __future__ import annotations

import ctypes
import os

_NEWNS = 0x0002_0000
_NEWCGROUP = 0x0200_0000
_NEWUTS = 0x0400_0000
_NEWIPC = 0x0800_0000
_NEWUSER = 0x1000_0000
_NEWPID = 0x2000_0000
_NEWNET = 0x4000_0000

_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT = 1, 2, 4, 8, 32
_BIND, _RECURSIVE, _PRIVATE = 1 << 12, 1 << 14, 1 << 18

_PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 22, 24, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x2008_0522
_MOST_CAPABILITIES = 64
_BYTES_OF_AN_INSTRUCTION = 8

_libc = ctypes.CDLL(None, use_errno=True)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def leave_namespaces() -> None:
    """Get user, mount, network, ipc and uts namespaces of our own; our next child gets a pid namespace as its init."""
    uid, gid = os.getuid(), os.getgid()
    _unshare(_NEWUSER | _NEWNS | _NEWPID | _NEWNET | _NEWIPC | _NEWUTS)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")


def leave_cgroup_namespace() -> None:
    """Let the control groups that we are in now be all that can be seen of them."""
    _unshare(_NEWCGROUP)


def mount_own(*, workspace_bytes: int, scratch_bytes: int) -> None:
    """Cover everything that the forks of a zygote would share with mounts of our own.

    /dev/pts is one of them: a terminal that one run opens could be opened by the others.
    """
    _mount(None, "/", None, _PRIVATE | _RECURSIVE)
    _mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    _write("/proc/sys/user/max_user_namespaces", "0")
    _mount("/proc/sys", "/proc/sys", None, _BIND | _RECURSIVE)
    _mount(None, "/proc/sys", None, _BIND | _REMOUNT | _RDONLY | _NOSUID | _NODEV | _NOEXEC)
    _mount("devpts", "/dev/pts", "devpts", _NOSUID | _NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    sizes = (("/workspace", workspace_bytes), ("/tmp", scratch_bytes), ("/dev/shm", scratch_bytes))  # noqa: S108 - ours
    for path, size in sizes:
        _mount("tmpfs", path, "tmpfs", _NOSUID | _NODEV, f"size={size},mode=0755")
    os.chdir("/workspace")


def drop_privileges(seccomp_filter: bytes) -> None:
    """Give up every capability for ever and load the filter; nothing takes any of it back."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(_MOST_CAPABILITIES):
        try:
            _prctl(_PR_CAPBSET_DROP, capability)
        except OSError:
            break  # the kernel knows no more of them
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(ctypes.byref(header), nothing), "capset")
    program = _FilterProgram(len(seccomp_filter) // _BYTES_OF_AN_INSTRUCTION, seccomp_filter)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    texts = [text.encode() if text else None for text in (source, target, kind, options)]
    _check(_libc.mount(*texts[:3], ctypes.c_ulong(flags), texts[3]), f"mount {target}")


def _prctl(option: int, *arguments: int) -> None:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    _check(_libc.prctl(option, *map(ctypes.c_ulong, padded)), f"prctl {option}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
