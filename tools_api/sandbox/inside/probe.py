"""The self-test's half inside the sandbox: tries what must fail and reports what happened. Run by the supervisor.

Payload: `isolation NUL secret path NUL loopback port NUL abstract socket name`, or `memory`, or, where no namespaces
hide the host, `neighbours NUL folder with secret, room and socket NUL port NUL abstract socket name NUL pid`.
"""

import os
import resource
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
    if mode == "neighbours":
        _report(_seen_of_neighbours(*arguments), report)
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
    _report(seen, report)


def _report(seen: dict[str, str], report: Callable[[bytes], None]) -> None:
    report("\0".join(part for pair in seen.items() for part in pair).encode())


def _seen_of_neighbours(folder: str, port: str, abstract: str, pid: str) -> dict[str, str]:
    """Try everything that only permissions and filters stand against, not the absence of its object."""
    secret, service = Path(folder, "secret"), int(pid)
    _attempt(lambda: secret.chmod(0))  # which may say that it is done
    return {
        "secret_unreadable": _attempt(secret.read_bytes),
        "secret_unlinkable": _attempt(lambda: os.link(secret, "linked")),
        "elsewhere_unwritable": _attempt(lambda: Path(folder, "room", "left").touch()),
        "elsewhere_unlisted": _attempt(lambda: os.listdir(folder)),  # noqa: PTH208
        "shared_memory_refused": _attempt(lambda: Path("/dev/shm", abstract).touch()),  # noqa: S108
        "environment_unreadable": _attempt(Path("/proc", pid, "environ").read_bytes),
        "core_pattern_readonly": _attempt(lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)),
        "loopback_refused": _attempt(lambda: socket.create_connection(("127.0.0.1", int(port)), timeout=1)),
        "datagrams_refused": _attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
        "host_sockets_refused": _attempt(lambda: socket.socket(socket.AF_UNIX).connect(f"\0{abstract}")),
        "path_sockets_refused": _attempt(lambda: socket.socket(socket.AF_UNIX).connect(f"{folder}/socket")),
        "signals_refused": _attempt(lambda: os.kill(service, 0)),
        "limits_refused": _attempt(lambda: resource.prlimit(service, resource.RLIMIT_CORE)),
        "not_root": "refused" if os.getuid() else "succeeded",
        "forks": str(_forks()),
    }


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
