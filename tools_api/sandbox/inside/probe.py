"""The self-test's half inside the sandbox: tries what must fail and reports what happened. Run by the supervisor.

Payload: `isolation NUL secret path NUL loopback port NUL abstract socket name`, or `memory`.
"""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

_MORE_THAN_ALLOWED = 200
_MIB = 1 << 20


def main(payload: bytes, report: Callable[[bytes], None]) -> None:
    """Do what the payload asks for."""
    mode, *arguments = payload.decode().split("\0")
    if mode == "memory":
        _use_memory()
        return
    secret, port, abstract = arguments
    status = _status()
    seen = {
        "secret_unreadable": _attempt(lambda: Path(secret).read_bytes()),
        "loopback_refused": _attempt(lambda: socket.create_connection(("127.0.0.1", int(port)), timeout=1)),
        "host_sockets_refused": _attempt(lambda: socket.socket(socket.AF_UNIX).connect(f"\0{abstract}")),
        "core_pattern_readonly": _attempt(lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)),
        "one_uid_mapped": Path("/proc/self/uid_map").read_text().split()[2],
        "no_capabilities": status["CapEff"],
        "no_new_privileges": status["NoNewPrivs"],
        "seccomp_filter": status["Seccomp"],
        "forks": str(_forks()),
    }
    report("\0".join(part for pair in seen.items() for part in pair).encode())


def _attempt(what: Callable[[], object]) -> str:
    try:
        what()
    except OSError:
        return "refused"
    return "succeeded"


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _forks() -> int:
    """Fork until it fails and say how often it did not."""
    children: list[int] = []
    try:
        while len(children) < _MORE_THAN_ALLOWED:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            children.append(pid)
    except BlockingIOError:
        pass
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return len(children)


def _use_memory() -> None:
    """Exceed the limit in sum while no process exceeds it alone."""
    for _ in range(5):
        if os.fork() == 0:
            held = bytearray(os.urandom(1) * (60 * _MIB))
            time.sleep(5)
            os._exit(len(held) & 1)
    time.sleep(5)
