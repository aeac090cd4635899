"""Holds what is expensive to import, and forks: each fork becomes a sandbox of its own that does one job.

A script, never imported by the service. It runs in a box of bubblewrap's without the filter and is trusted: it reads
nothing but the host's requests and a preload script of ours, never a byte of a job, and nobody but the host can write
to it. What a fork shares with it is memory that is copied when written, and the layout of that memory.

Usage: `python -I -S zygote.py CONTROL_FD FILTER_FD [PRELOAD]`. PRELOAD is a script that may define `preload()`, called
once, `refresh()`, called in each fork, and `SCRIPTS`, paths of scripts that jobs will run, to be compiled beforehand.
CONTROL_FD is a SOCK_SEQPACKET socket:
in:  `number NUL limits NUL bytes of /workspace NUL bytes of /tmp`, with a worker's stdin, stdout, stderr and RESULT_FD.
out: `ready` with a pidfd of ourselves; for each request `number` with a pidfd of its worker, or `number NUL why not`.
A worker waits for one byte on stdin (the host puts it into its control groups meanwhile), leaves the last namespace,
drops all privileges and says `H`. Before a job comes, two bytes with a size and that many with tighter limits, or none;
then it goes on as `supervisor.py` does. It says on stderr why it could not.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

HERE = "/opt/sandbox"
RESULT_FD = 3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


def main() -> None:
    """Preload, say so, and fork as often as the host asks."""
    control, seccomp_filter = socket.socket(fileno=int(sys.argv[1])), _read_all(int(sys.argv[2]))
    os.closerange(3, control.fileno())  # what the service passed on by mistake
    os.closerange(control.fileno() + 1, 1 << 20)
    zygote = _Zygote(control, seccomp_filter)
    if len(sys.argv) > 3:
        zygote.preload(sys.argv[3])
    zygote.serve()


class _Zygote:
    """The trusted process and, after a fork, what is to become a worker."""

    def __init__(self, control: socket.socket, seccomp_filter: bytes) -> None:
        self._control = control
        self._filter = seccomp_filter
        self._confinement = _own_module("confinement")
        del sys.modules["confinement"]  # the code may have a module of that name
        self._supervisor = _own_module("supervisor")
        self._refresh: Callable[[], None] = _nothing

    def preload(self, path: str) -> None:
        """Run the preload script. What it does to the search path is undone, because jobs set their own."""
        namespace: dict[str, Any] = {"__name__": "preload", "__file__": path}
        search_path = sys.path.copy()
        exec(self._supervisor.compile_script(path), namespace)  # noqa: S102 - the tool's own script
        namespace.get("preload", _nothing)()
        sys.path[:] = search_path
        for script in namespace.get("SCRIPTS", ()):
            self._supervisor.compiled[script] = self._supervisor.compile_script(script)
        self._refresh = namespace.get("refresh", _nothing)

    def serve(self) -> NoReturn:
        """Fork for every request until the host goes away."""
        threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208
        if threads != 1:
            sys.exit(f"{threads} threads run after preloading; only a process with one can leave its user namespace")
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the processes between us and the workers
        gc.collect()
        gc.freeze()  # a worker's garbage collection must not write to the pages that it shares
        _send_pidfd(self._control, b"ready", os.getpid())
        while True:
            request, descriptors, _, _ = socket.recv_fds(self._control, 4096, 4)
            if not request:
                os._exit(0)
            if os.fork() == 0:
                self._become_worker(request, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)

    def _become_worker(self, request: bytes, descriptors: list[int]) -> NoReturn:
        """Go on as a supervisor in a sandbox, or end. No byte of a job is read before all restrictions hold."""
        number, limits, workspace, scratch = request.split(b"\0")
        self._fork_into_namespaces(number)
        os.setsid()  # a signal to the whole process group must not reach the other forks
        _take_pipes(descriptors)
        try:
            self._confinement.mount_own(workspace_bytes=int(workspace), scratch_bytes=int(scratch))
            if not os.read(0, 1):
                os._exit(70)  # the host went away
            self._confinement.leave_cgroup_namespace()
            self._supervisor.restrict(limits.decode())
            self._confinement.drop_privileges(self._filter)
        except (OSError, ValueError) as error:
            os.write(2, f"{error}\n".encode())
            os._exit(71)
        self._refresh()
        os.write(RESULT_FD, b"H")
        size = int.from_bytes(self._supervisor.read_exactly(2), "big")
        if size:
            self._supervisor.restrict(self._supervisor.read_exactly(size).decode())
        self._supervisor.do_job(RESULT_FD)
        os._exit(0)

    def _fork_into_namespaces(self, number: bytes) -> None:
        """Fork once more, because only a child is in the new pid namespace; return there, and end the one between.

        The kernel makes the pidfd, so the host need not believe anyone who the worker is.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            self._confinement.leave_namespaces()
            worker = os.fork()
            if worker == 0:
                return
            _send_pidfd(self._control, number, worker)
        except OSError as error:
            self._control.send(number + b"\0" + str(error).encode())
        os._exit(0)


def _take_pipes(descriptors: list[int]) -> None:
    """Keep four pipes and no other descriptor, the control socket neither."""
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target, inheritable=target != RESULT_FD)
    os.closerange(RESULT_FD + 1, 1 << 20)


def _own_module(name: str) -> Any:
    """Import a script that lies beside this one. The search path stays as it was, for the jobs."""
    sys.path.insert(0, HERE)
    module = __import__(name)
    sys.path.remove(HERE)
    return module


def _nothing() -> None:
    """Do what is to be done where there is no preload script."""


def _send_pidfd(control: socket.socket, message: bytes, pid: int) -> None:
    descriptor = os.pidfd_open(pid)
    socket.send_fds(control, [message], [descriptor])
    os.close(descriptor)


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


if __name__ == "__main__":
    main()
