"""What the kernel says about a process that is to be a sandbox: whose it is, and that it shares no namespace."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools_api.sandbox.limits import Limits
from tools_api.sandbox.process import SandboxBroken

_KINDS = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
_LIMITS = {
    "Max address space": "as",
    "Max processes": "nproc",
    "Max open files": "nofile",
    "Max file size": "fsize",
    "Max core file size": "core",
}
_NOTHING = "0000000000000000"
_EXPECTED = {"CapEff": _NOTHING, "CapPrm": _NOTHING, "CapBnd": _NOTHING, "NoNewPrivs": "1", "Seccomp": "2"}


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The kernel's names of the seven namespaces of a process, in the order of `_KINDS`."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, pid: int | str) -> "Namespaces":
        """Read them. Raises `OSError`."""
        return cls(tuple(os.readlink(f"/proc/{pid}/ns/{kind}") for kind in _KINDS))  # noqa: PTH115

    def shared_with(self, other: "Namespaces") -> list[str]:
        """Return the kinds that both have in common."""
        return [kind for kind, mine, theirs in zip(_KINDS, self.names, other.names, strict=True) if mine == theirs]


def pid_behind(pidfd: int) -> int:
    """Return the process that a pidfd refers to, as the host numbers it; -1 if it has ended."""
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise SandboxBroken("it sent a descriptor that is no process")


def inspect(pid: int, *, uid: int, limits: Limits, apart_from: Iterable[int | str]) -> None:
    """Check that a worker is the sandbox that it says it is, apart from all those processes. Raises `SandboxBroken`."""
    try:
        status = _status(pid)
        own = Namespaces.of(pid)
        loose = _not_limited(pid, limits)
    except OSError as error:
        raise SandboxBroken(f"it can't be inspected: {error.strerror}") from None
    uids = set(status["Uid"].split())
    if uids != {str(uid)} or uid == 0:
        raise SandboxBroken("it runs as the kernel's uid 0 or as someone else's")
    if status["NSpid"].split()[-1] != "1":
        raise SandboxBroken("it is not the first process of a pid namespace")
    if wrong := [name for name, value in _EXPECTED.items() if status.get(name) != value]:
        raise SandboxBroken(f"it kept privileges: {', '.join(wrong)}")
    if loose:
        raise SandboxBroken(f"its limits are not set: {', '.join(loose)}")
    for other in apart_from:
        try:
            # read now, and not remembered: names of namespaces are used again when their processes have ended
            shared = own.shared_with(Namespaces.of(other))
        except OSError:
            continue  # it ends just now
        if shared:
            raise SandboxBroken(f"it shares namespaces: {', '.join(shared)}")


def uid_of(pid: int) -> int:
    """Return the real uid of a process as the host sees it. Raises `OSError`."""
    return int(_status(pid)["Uid"].split()[0])


def _not_limited(pid: int, limits: Limits) -> list[str]:
    """Return which of the limits of each process do not hold, by the kernel's names for them."""
    values = dict(item.split("=") for item in limits.as_rlimits().split(","))
    wanted = {name: values[key] for name, key in _LIMITS.items()}
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return [name for name, value in wanted.items() if not any(_says(line, name, value) for line in lines)]


def _says(line: str, name: str, value: str) -> bool:
    return line.startswith(f"{name} ") and line.removeprefix(name).split()[:2] == [value] * 2


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
