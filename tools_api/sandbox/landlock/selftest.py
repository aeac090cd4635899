"""Proves, in real runs of the real recipe, that Landlock and the filter hold. Any doubt counts as a failure.

Nothing hides the host here, so everything that is planted is there for the probe to try: a secret that any user may
read, a folder that any user may write to, sockets by port, name and path, and the service itself.
"""

import contextlib
import os
import secrets
import socket
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from tools_api.sandbox.limits import MIB, Limits
from tools_api.sandbox.outcome import Job
from tools_api.sandbox.selftest import PROBE, Run, SelfTestFailed, bait_folder, count

_MORE_FORKS_THAN_ALLOWED = 200
_LIMITS = Limits(wall_s=10.0, memory_bytes=160 * MIB, processes=24)
_REFUSED = (
    "secret_unreadable",
    "secret_unlinkable",
    "elsewhere_unwritable",
    "elsewhere_unlisted",
    "shared_memory_refused",
    "environment_unreadable",
    "core_pattern_readonly",
    "loopback_refused",
    "datagrams_refused",
    "host_sockets_refused",
    "path_sockets_refused",
    "signals_refused",
    "limits_refused",
    "not_root",
)


@dataclass(frozen=True, slots=True)
class _Bait:
    folder: Path
    port: int
    abstract: str

    def as_payload(self) -> bytes:
        return "\0".join(["neighbours", str(self.folder), str(self.port), self.abstract, str(os.getpid())]).encode()

    def is_untouched(self) -> bool:
        """Say whether the secret is as it was: changing its mode claims to work, and must not."""
        return (self.folder / "secret").stat().st_mode & 0o777 == 0o644


async def run_self_test(run: Run) -> dict[str, bool]:
    """Run the probes; return every check by name, all true. Raises `SelfTestFailed`, and what `run` raises."""
    with _planted() as bait:
        # one after the other: an ordinary user's runs can take each other's processes away
        neighbours = await run(Job(script=PROBE.target, payload=bait.as_payload(), trees=(PROBE,), limits=_LIMITS))
        memory = await run(Job(script=PROBE.target, payload=b"memory", trees=(PROBE,), limits=_LIMITS))
        untouched = bait.is_untouched()
    parts = neighbours.report.decode("utf-8", "replace").split("\0")
    seen = dict(zip(parts[::2], parts[1::2], strict=False))
    checks = {name: seen.get(name) == "refused" for name in _REFUSED}
    checks["secret_untouched"] = untouched
    checks["processes_limited"] = 0 < count(seen.get("forks", "")) < _MORE_FORKS_THAN_ALLOWED
    checks["memory_limited"] = memory.limit == "memory"
    failed = [name for name, holds in checks.items() if not holds]
    if failed:
        observed = "; ".join(f"{name} was {seen.get(name, 'not reported')!r}"[:120] for name in failed)
        raise SelfTestFailed(observed, checks)
    return checks


@contextlib.contextmanager
def _planted() -> Generator[_Bait]:
    name = f"twinport-{secrets.token_hex(8)}"
    with (
        bait_folder() as path,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as by_path,
    ):
        folder = Path(path)
        folder.chmod(0o755)  # only Landlock may protect it
        (folder / "secret").write_text(name)
        (folder / "secret").chmod(0o644)
        (folder / "room").mkdir()
        (folder / "room").chmod(0o777)
        abstract.bind(f"\0{name}")
        abstract.listen()
        by_path.bind(f"{path}/socket")
        by_path.listen()
        (folder / "socket").chmod(0o777)
        yield _Bait(folder, tcp.getsockname()[1], name)
