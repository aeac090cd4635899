"""Proves, inside a real sandbox of the real recipe, that it holds. Any doubt counts as a failure.

A secret is planted on the host, a port and an abstract socket listen there, and a probe tries to get at them; the
kernel's own account of the probe (uid map, capabilities, seccomp) is read; processes and memory are used up.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools_api.sandbox.limits import MIB, Limits
from tools_api.sandbox.outcome import Job, Outcome, ReadOnlyTree

Run = Callable[[Job], Awaitable[Outcome]]

PROBE = ReadOnlyTree(Path(__file__).parent / "inside" / "probe.py", "/opt/probe.py")
_PROCESSES = 24
_LIMITS = Limits(wall_s=10.0, memory_bytes=160 * MIB, processes=_PROCESSES)
_EXPECTED: Mapping[str, str] = {
    "secret_unreadable": "refused",
    "loopback_refused": "refused",
    "host_sockets_refused": "refused",
    "core_pattern_readonly": "refused",
    "one_uid_mapped": "1",
    "no_capabilities": "0000000000000000",
    "no_new_privileges": "1",
    "seccomp_filter": "2",
}


class SelfTestFailed(Exception):
    """A check did not hold, or the probe did not come back; `checks` has those that were made."""

    def __init__(self, message: str, checks: Mapping[str, bool]) -> None:
        super().__init__(message)
        self.checks = checks


@dataclass(frozen=True, slots=True)
class Bait:
    """What is planted on the host for the probe to fail at."""

    secret: Path
    port: int
    abstract: str

    def as_payload(self) -> bytes:
        """Render it for the probe."""
        return "\0".join(["isolation", str(self.secret), str(self.port), self.abstract]).encode()


async def run_self_test(run: Run) -> dict[str, bool]:
    """Run the probes; return every check by name, all true. Raises `SelfTestFailed`, and what `run` raises."""
    with _planted() as bait:
        isolation, memory = await asyncio.gather(
            run(Job(script=PROBE.target, payload=bait.as_payload(), trees=(PROBE,), limits=_LIMITS)),
            run(Job(script=PROBE.target, payload=b"memory", trees=(PROBE,), limits=_LIMITS)),
        )
    seen = _decode(isolation.report)
    checks = {name: seen.get(name) == value for name, value in _EXPECTED.items()}
    checks["processes_limited"] = 0 < count(seen.get("forks", "")) <= _PROCESSES
    checks["memory_limited"] = memory.limit == "memory"
    failed = [name for name, holds in checks.items() if not holds]
    if failed:
        observed = "; ".join(f"{name} was {seen.get(name, 'not reported')!r}"[:120] for name in failed)
        raise SelfTestFailed(observed, checks)
    return checks


@contextlib.contextmanager
def bait_folder() -> Generator[str]:
    """Make a folder for what is planted, and remove those of services that were killed meanwhile."""
    prefix = "twinport-selftest-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*-*"):
        if not _is_alive(left.name.removeprefix(prefix).partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-") as folder:
        yield folder


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _planted() -> Generator[Bait]:
    """Plant a secret that any user may read, and listen where any local process may connect."""
    name = f"twinport-{secrets.token_hex(8)}"
    with (
        bait_folder() as folder,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        os.chmod(folder, 0o755)  # noqa: PTH101, S103 - only the mount namespace may protect it
        secret = Path(folder, "secret")
        secret.write_text(name)
        secret.chmod(0o644)
        abstract.bind(f"\0{name}")
        abstract.listen()
        yield Bait(secret, tcp.getsockname()[1], name)


def count(text: str) -> int:
    """Read a probe's number, which may be any text; what is none counts 0."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0


def _decode(report: bytes) -> dict[str, str]:
    parts = report.decode("utf-8", "replace").split("\0")
    return dict(zip(parts[::2], parts[1::2], strict=False))
