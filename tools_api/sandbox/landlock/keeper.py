"""Keeps one run: confines what it starts, reaps what that leaves behind, and ends with nothing of it alive.

A script, started by the service with the sandbox's interpreter and never imported by it. It reads no byte of a job: the
pipes go to what it starts, and its own orders come from a descriptor that the service has filled.

Usage: `python -I -S keeper.py ORDERS_FD RESULT_FD SERVICE_PID`
ORDERS_FD: eight bytes of length, NUL-separated pairs (see `LandlockSpawner`), then a seccomp program.

It ends the run when what it started ends, on SIGTERM, and when the service dies. Killing is one `kill(-1)`, which the
kernel does at once for all, so that no fork escapes it. Whom it reaches is settled before anything is started:
  * A keeper of an ordinary user first enters a Landlock domain of its own, from which no signal leads out (ABI 6). The
    run's domain is nested in it: the keeper's signals reach the run, the run's don't reach the keeper.
  * A keeper of root kills from a process that has taken on the run's uid, which nobody else has.
Where neither is certain it ends before it starts anything.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

Orders = list[tuple[str, str]]

FIRST_UID = 60_000
"""Below are people and services; a run never gets one of theirs."""
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
_SECCOMP_MODE_FILTER = 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_RULE_PATH_BENEATH = 1
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPES_SINCE, _TCP_SINCE = 6, 4
_BROKEN = 70

_libc = ctypes.CDLL(None, use_errno=True)


class _RulesetAttribute(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def main() -> None:
    """Confine, start, wait, kill, reap."""
    orders_fd, result_fd, service = (int(argument) for argument in sys.argv[1:4])
    orders, program = _read_orders(orders_fd)
    single = dict(orders)
    uid = int(single["uid"]) if "uid" in single else None
    abi = int(single["abi"])
    _call(_libc.prctl, _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _call(_libc.prctl, _PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != service:
        _fail("the service has gone")
    _make_killing_safe(uid, abi, service)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    run = os.fork()
    if run == 0:
        _become_the_run(orders, program, uid, abi)
    _let_go_of((0, 1, 2, result_fd))
    _wait_for_the_end(run)
    _kill_all(uid)
    _reap_all()
    os._exit(0)


def _read_orders(descriptor: int) -> tuple[Orders, bytes]:
    with os.fdopen(descriptor, "rb") as file:
        raw = file.read()
    size = int.from_bytes(raw[:8], "big")
    parts = raw[8 : 8 + size].decode("utf-8", "surrogateescape").split("\0")
    return list(zip(parts[::2], parts[1::2], strict=True)), raw[8 + size :]


def _make_killing_safe(uid: int | None, abi: int, service: int) -> None:
    """See to it that `kill(-1)` reaches the run alone, and prove it on the service."""
    if uid is not None:
        if uid < FIRST_UID or os.geteuid() != 0:
            _fail("a run needs a uid of its own, and root to give it one")
        return
    if abi < _SCOPES_SINCE:
        _fail("this kernel can't keep signals in (Landlock ABI 6 does, Linux 6.12)")
    _call(_libc.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _restrict(_RulesetAttribute(fs=0, net=0, scoped=_SCOPE_SIGNALS), abi, ())
    if f"Uid:\t{os.getuid()}\t{os.getuid()}\t" not in _status_of(service) or _may_signal(service):
        _fail("signals of a run would reach the service")


def _status_of(pid: int) -> str:
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib costs
        return file.read()


def _may_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    return True


def _become_the_run(orders: Orders, program: bytes, uid: int | None, abi: int) -> NoReturn:
    single = dict(orders)
    os.setsid()
    _prefer_in_need()
    if uid is not None:
        _take_on(uid)
    os.chdir(single["folder"])
    os.umask(0o022)
    _call(_libc.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _restrict(
        _RulesetAttribute(
            fs=int(single["handled"]),
            net=_BIND_TCP | _CONNECT_TCP,
            scoped=_SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS,
        ),
        abi,
        [value.partition(":") for key, value in orders if key == "rule"],
    )
    argv = [value for key, value in orders if key == "arg"]
    env = dict(value.split("=", 1) for key, value in orders if key == "env")
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    filter_ = _Program(len(program) // 8, program)
    _call(_libc.prctl, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0)
    try:
        os.execve(argv[0], argv, env)  # noqa: S606 - confined
    except OSError as error:
        _fail(f"{argv[0]}: {error.strerror}")


def _prefer_in_need() -> None:
    """Have a machine that is out of memory take this run before anything else."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("800")
    except OSError:
        return  # it is a favour to others, and no restriction of ours


def _take_on(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (uid, uid, uid) or os.getgroups():
        _fail("the uid could not be given up")


def _restrict(attribute: _RulesetAttribute, abi: int, rules: Iterable[tuple[str, str, str]]) -> None:
    """Enter a Landlock domain that allows what `rules` name and nothing else that this kernel can refuse."""
    size = 8 * (1 + (abi >= _TCP_SINCE) + (abi >= _SCOPES_SINCE))  # what the kernel knows of the structure
    ruleset = _call(_libc.syscall, _CREATE_RULESET, ctypes.byref(attribute), size, 0)
    for access, _, path in rules:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = _PathBeneath(int(access), descriptor)
        _call(_libc.syscall, _ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
        os.close(descriptor)
    _call(_libc.syscall, _RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _let_go_of(descriptors: tuple[int, ...]) -> None:
    """Close our ends of the run's pipes: they are at their end when the run is."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _wait_for_the_end(run: int) -> None:
    while signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) != signal.SIGTERM:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == run:
                return
            if pid == 0:
                break


def _kill_all(uid: int | None) -> None:
    if uid is None:
        _kill_reachable()
        return
    keeper = os.getpid()
    killer = os.fork()
    if killer == 0:
        _take_on(uid)
        if not _may_signal(keeper):  # else we are still root, and would reach everyone
            _kill_reachable()
        os._exit(0)
    os.waitpid(killer, 0)


def _kill_reachable() -> None:
    try:
        os.kill(-1, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # all have ended


def _reap_all() -> None:
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


def _call(function: Callable[..., int], *arguments: object) -> int:
    result = function(*arguments)
    if result < 0:
        _fail(f"the kernel refuses a restriction ({arguments[0]}): {os.strerror(ctypes.get_errno())}")
    return result


def _fail(reason: str) -> NoReturn:
    os.write(2, f"{reason}\n".encode("utf-8", "replace"))
    os._exit(_BROKEN)


if __name__ == "__main__":
    main()
