"""Memory, processes and processor time in sum, by control groups, where the service may make them.

Version 1 and 2 are both used where found. Where neither is writable the watchdog does the same job less exactly.
"""

import asyncio
import itertools
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tools_api.sandbox.limits import Limits

_MOUNT = Path("/sys/fs/cgroup")
_PREFIX = "twinport-sandbox-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a run has used so far; `killed` says that it met its memory limit."""

    cpu_s: float = 0.0
    memory_bytes: int = 0
    peak_bytes: int = 0
    tasks: int = 0
    """Processes and threads now, the sandbox's own included."""
    most_tasks: int = 0
    """The most at once since the group was made; 0 where the kernel does not say (before Linux 6.11)."""
    killed: bool = False


class Cgroup(Protocol):
    """The control groups of one run."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the run's first process enters itself before it becomes bwrap."""
        ...

    def usage(self) -> Usage:
        """Read the counters."""
        ...


@dataclass(frozen=True, slots=True)
class CgroupV1:
    """One folder in each hierarchy; `memory` is always there, the others where writable."""

    memory: Path
    pids: Path | None
    cpuacct: Path | None

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(folder for folder in (self.memory, self.pids, self.cpuacct) if folder)

    def limit(self, limits: Limits) -> None:
        """Set the limits; swap counts as memory where the kernel accounts for it."""
        _write(self.memory / "memory.limit_in_bytes", limits.memory_bytes)
        if (swap := self.memory / "memory.memsw.limit_in_bytes").exists():
            _write(swap, limits.memory_bytes)
        if self.pids:
            _write(self.pids / "pids.max", _processes(limits))

    def usage(self) -> Usage:
        cpu = _number(self.cpuacct / "cpuacct.usage") / 1e9 if self.cpuacct else 0.0
        return Usage(
            cpu_s=cpu,
            memory_bytes=_number(self.memory / "memory.usage_in_bytes"),
            peak_bytes=_number(self.memory / "memory.max_usage_in_bytes"),
            tasks=_number_if_there(self.pids / "pids.current") if self.pids else 0,
            most_tasks=_number_if_there(self.pids / "pids.peak") if self.pids else 0,
            killed=_field(self.memory / "memory.oom_control", "oom_kill") > 0,
        )


@dataclass(frozen=True, slots=True)
class CgroupV2:
    """One folder in the one hierarchy."""

    folder: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self.folder,)

    def limit(self, limits: Limits) -> None:
        """Set the limits; no swap."""
        _write(self.folder / "memory.max", limits.memory_bytes)
        if (swap := self.folder / "memory.swap.max").exists():
            _write(swap, 0)
        if (pids := self.folder / "pids.max").exists():
            _write(pids, _processes(limits))

    def usage(self) -> Usage:
        peak = self.folder / "memory.peak"  # Linux 5.19 and later
        memory = _number(self.folder / "memory.current")
        return Usage(
            cpu_s=_field(self.folder / "cpu.stat", "usage_usec") / 1e6,
            memory_bytes=memory,
            peak_bytes=_number(peak) if peak.exists() else memory,
            tasks=_number_if_there(self.folder / "pids.current"),
            most_tasks=_number_if_there(self.folder / "pids.peak"),
            killed=_field(self.folder / "memory.events", "oom_kill") > 0,
        )


class CgroupFactory:
    """Makes and removes the control groups of runs below one folder per hierarchy that this process owns."""

    def __init__(self, bases: dict[str, Path]) -> None:
        self._bases = bases
        self._numbers = itertools.count(1)

    def create(self, limits: Limits) -> CgroupV1 | CgroupV2:
        """Make the groups of one run and set their limits. Raises `OSError`."""
        name = f"run-{next(self._numbers)}"
        folders = {controller: base / name for controller, base in self._bases.items()}
        for folder in folders.values():
            folder.mkdir()
        if "v2" in folders:
            group = CgroupV2(folders["v2"])
        else:
            group = CgroupV1(folders["memory"], folders.get("pids"), folders.get("cpuacct"))
        group.limit(limits)
        return group

    async def remove(self, group: Cgroup) -> None:
        """Kill what is left in the groups and remove them."""
        for folder in group.folders:
            wait_s = 0.0005  # the dead leave their group a moment after they are reaped
            while not _removed(folder) and wait_s < 1:
                _kill_members(folder)
                await asyncio.sleep(wait_s)
                wait_s *= 1.5

    def close(self) -> None:
        """Remove this process's folders."""
        for base in self._bases.values():
            _removed(base)


def find_cgroups(mount: Path = _MOUNT, own: Path = Path("/proc/self/cgroup")) -> CgroupFactory | None:
    """Find where groups with a memory limit can be made, clearing up after services that were killed.

    None where that is nowhere: cgroups absent, read-only (most containers) or without the memory controller.
    """
    try:
        paths = _own_paths(own.read_text())
    except OSError:
        return None
    bases = _find_v1(mount, paths) or _find_v2(mount, paths)
    return CgroupFactory(bases) if bases else None


def _own_paths(text: str) -> dict[str, str]:
    """Map each controller (`v2` for the unified hierarchy) to our group's path, from /proc/self/cgroup's lines."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(",") if controllers else ["v2"]:
            paths[controller] = path
    return paths


def _find_v1(mount: Path, paths: dict[str, str]) -> dict[str, Path]:
    bases: dict[str, Path] = {}
    for controller in ("memory", "pids", "cpuacct"):
        root = mount / controller
        own = root / paths.get(controller, "/").lstrip("/")
        base = _make_base(own if own.is_dir() else root) if root.is_dir() else None
        if base:
            bases[controller] = base
        elif controller == "memory":
            return {}
    return bases


def _find_v2(mount: Path, paths: dict[str, str]) -> dict[str, Path]:
    own = mount / paths.get("v2", "/").lstrip("/")
    for parent in dict.fromkeys((own.parent, mount)):  # beside us: a group with processes has no limited children
        try:
            enabled = (parent / "cgroup.subtree_control").read_text().split()
        except OSError:
            continue
        if {"memory", "pids"} <= set(enabled) and (base := _make_base(parent)):
            try:
                (base / "cgroup.subtree_control").write_text("+memory +pids")
            except OSError:
                _removed(base)
                continue
            return {"v2": base}
    return {}


def _make_base(parent: Path) -> Path | None:
    _sweep(parent)
    base = parent / f"{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
    try:
        base.mkdir()
    except OSError:
        return None
    return base


def _sweep(parent: Path) -> None:
    """Remove what services that no longer live have left."""
    for stale in parent.glob(f"{_PREFIX}*"):
        pid = stale.name.removeprefix(_PREFIX).partition("-")[0]
        if Path("/proc", pid).exists():
            continue
        for folder in (*stale.glob("run-*"), stale):
            _kill_members(folder)  # a bwrap that was killed while it started may have left a child
            _removed(folder)


def _kill_members(folder: Path) -> None:
    try:
        members = (folder / "cgroup.procs").read_text().split()
    except OSError:
        return
    for member in members:
        if member == "0":  # a process outside of our pid namespace; 0 would be our own group
            continue
        try:
            os.kill(int(member), signal.SIGKILL)
        except ProcessLookupError:
            continue


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _processes(limits: Limits) -> int:
    return limits.processes + 8  # bwrap's own, and what dies while the next is born; RLIMIT_NPROC is the exact one


def _number_if_there(path: Path) -> int:
    return _number(path) if path.exists() else 0


def _write(path: Path, value: int) -> None:
    path.write_text(str(value))


def _number(path: Path) -> int:
    return int(path.read_text())


def _field(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
