"""What goes into a sandbox and what comes out: values only."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from shared.errors import Unavailable
from tools_api.sandbox.limits import Limits

LimitName = Literal["timeout", "cpu", "memory", "output", "files"]
Level = Literal["ns-seccomp", "landlock-seccomp", "wasi", "remote"]
"""The levels of isolation that an operator may name; `sandbox.py` makes them."""
MemoryLimit = Literal["cgroup", "watchdog", "engine"]
"""Who limits the memory of a run in sum."""
OutputListener = Callable[[Literal["stdout", "stderr"], bytes], None]
"""Hears what a run prints as it comes, cut anywhere and capped as the outcome is; must neither wait nor fail."""


class SandboxUnavailable(Unavailable):
    """No level of isolation that the operator allows works here now; nothing was run."""

    code = "sandbox_unavailable"


class SandboxBusy(Unavailable):
    """All slots, or all places for sessions, were taken for as long as the caller could wait."""

    code = "sandbox_busy"


@dataclass(frozen=True, slots=True)
class ReadOnlyTree:
    """A trusted file or folder of the host, shown read-only at `target` inside.

    A `native` one holds programs or libraries that were compiled for the host; levels that can't run those leave it
    out.
    """

    source: Path
    target: str
    native: bool = False


@dataclass(frozen=True, slots=True)
class SandboxFile:
    """A file that goes in or comes out: its path in the workspace (`out/a.csv`, every part plain), and bytes."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the host that goes in under `name`, read piece by piece while it is sent: it may be large. It is `size`
    bytes long, whatever becomes of it meanwhile; nothing else may write to it."""

    name: str
    path: Path
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run: either `script`, a Python file inside that is run in a fork, or `argv`, a program inside.

    A script defines `main(payload, report)` and may call `report(bytes)`; that comes back as `Outcome.report`. For a
    session it defines `session(receive, begin, report)` too (see `inside/session.py`).
    Nothing that a caller of the service says can widen what the sandbox allows; `limits` are cut to the `Sandbox`'s
    own. The last three fields are for programs that our own code chooses, never for a request to set.
    """

    script: str | None = None
    argv: tuple[str, ...] = ()
    payload: bytes = b""
    files: tuple[SandboxFile, ...] = ()
    stored: tuple[StoredFile, ...] = ()
    trees: tuple[ReadOnlyTree, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    limits: Limits | None = None
    channel: socket.socket | None = None
    """The far end of a socket pair that the run gets as the descriptor named by `$SANDBOX_CHANNEL`. What comes through
    it is hostile; who made the pair closes both ends."""
    loopback: bool = False
    """Allow TCP sockets. The network namespace has nothing but its own loopback, so they reach the run itself only."""
    keeps_output: bool = True
    """False if only those who listen while it runs want what it prints: then it may be much, and is counted only."""
    bounded_address_space: bool = True
    """False for programs that reserve far more than they use (V8); memory in sum stays limited."""

    @property
    def needs_namespaces(self) -> bool:
        """Say whether only a level of this machine that has namespaces can run it."""
        return self.loopback or self.channel is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended. `exit_code` is negative for a signal and None when the whole sandbox was killed or broke.

    `limit` is the first limit that ended the run or, for `files`, cut its results; `denied` says in a few words
    each what was refused. Every byte here comes from untrusted code, capped.
    """

    exit_code: int | None
    stdout: bytes = b""
    stderr: bytes = b""
    report: bytes = b""
    files: tuple[SandboxFile, ...] = ()
    limit: LimitName | None = None
    denied: tuple[str, ...] = ()
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    processes: int = 0
    """The most processes and threads of the code that were seen at once."""
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a level can run besides scripts that need the standard library alone."""

    programs: bool
    """Jobs with an `argv`."""
    native_code: bool
    """What is in trees that are `native`: numpy, say."""
    channels: bool = False
    """Jobs with a `channel` or `loopback`."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A level that the operator prefers to the one in use: why it can't be used, in one word and in a sentence."""

    level: Level
    failure: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxReport:
    """What the sandbox is worth on this machine now, for /health and `twinport doctor`.

    `reason` is None while it is available, else what is wrong and what to do. `passed_over` are the better levels
    that failed, all of them if none is left. `checks` are the self-test's, by name.
    """

    available: bool
    level: Level | None
    reason: str | None
    passed_over: tuple[PassedOver, ...] = ()
    abilities: Abilities | None = None
    memory: MemoryLimit | None = None
    checks: Mapping[str, bool] = field(default_factory=dict[str, bool])
    python: str | None = None
