"""Runs untrusted programs so that nothing they try gets out. Knows nothing of the tools that use it.

One run is one fresh sandbox, made for it by bubblewrap (the cold path) or waiting for it, a fork of a trusted zygote
that is used once (the warm path): new user, mount, pid, network, ipc, uts and cgroup namespaces, a kernel uid that is
never 0, no capability, a list of allowed system calls, a read-only view of /usr and of the trees that our own code
names, a workspace and a /tmp in memory with a size, limits of each process and of all together, and pipes whose reading
is capped. A self-test inside decides at the start, and again from time to time, whether the machine provides all that;
if it does not, nothing is run (`SandboxUnavailable`, 503). No field of a request reaches the recipe.

The calls of a session (`sessions.py`) share one such sandbox, which is its owner's alone and stands still in between.

That is the level `ns-seccomp`. Others are chosen by name, best first, each with a self-test and a docstring that says
what it covers: `wasi`, `remote` (a runner elsewhere) and `landlock` (for containers that refuse namespaces).

Covered, each by a test that attacks it (`tests/tools_api/battery/`, `tests/tools_api/sandbox/`): files, environment,
processes, sockets and shared memory of the host; the network, loopback included; more privileges; the kernel's rarely
used doors; endless loops, forks, memory, files, output; daemons that outlive their run; hostile file names and forged
answers.

NOT covered:
* Bugs of the kernel in the allowed calls. Who runs code of strangers should put the tools API on a machine or into a
  virtual machine of its own.
* Side channels between runs and with the host (timing, caches, load), and how much electricity a run uses in its time.
* What /usr says about the host: installed packages and their versions. /usr/local is hidden. /proc shows the kernel's
  version, the machine's memory and processors, and in `mountinfo` the folders that read-only trees come from.
* What the forks of one zygote have in common for at most an hour: where things lie in their address space, and the seed
  of `hash()`.
* What a session does for half a second between its calls, if a timer of its own wakes it up; then it is ended.
* The result itself: a program may lie about what it computed, and may forge its own report and files.
* Kernel memory that no page table shows (socket buffers, say) where there is no memory cgroup; there it is bounded by
  the number of processes and descriptors only. Kernels before 5.14 count RLIMIT_NPROC per host uid, not per sandbox.
* macOS and other systems have no namespaces: there, only the levels that need none can be allowed.
"""

from tools_api.sandbox.interpreter import Interpreter, describe
from tools_api.sandbox.level import Isolation, LevelFailed, Standing
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import (
    Abilities,
    Job,
    Level,
    LimitName,
    Outcome,
    PassedOver,
    ReadOnlyTree,
    SandboxBusy,
    SandboxFile,
    SandboxReport,
    SandboxUnavailable,
    StoredFile,
)
from tools_api.sandbox.remote import RemoteOptions
from tools_api.sandbox.sandbox import Sandbox, SandboxOptions
from tools_api.sandbox.sessions import NoSessions, Session, SessionEnding, SessionKey, SessionOptions, SessionState
from tools_api.sandbox.warm.pool import WarmReport
from tools_api.sandbox.warm.profile import WarmProfile

__all__ = [
    "Abilities",
    "Interpreter",
    "Isolation",
    "Job",
    "Level",
    "LevelFailed",
    "LimitName",
    "Limits",
    "NoSessions",
    "Outcome",
    "PassedOver",
    "ReadOnlyTree",
    "RemoteOptions",
    "Sandbox",
    "SandboxBusy",
    "SandboxFile",
    "SandboxOptions",
    "SandboxReport",
    "SandboxUnavailable",
    "Session",
    "SessionEnding",
    "SessionKey",
    "SessionOptions",
    "SessionState",
    "Standing",
    "StoredFile",
    "WarmProfile",
    "WarmReport",
    "describe",
]
