"""Proves, in real instances in real processes, that the level `wasi` holds. Any doubt counts as a failure.

A secret is planted where every user may read it, a port listens on loopback; memory and time are used up.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from tools_api.sandbox.limits import MIB, Limits
from tools_api.sandbox.outcome import Job, Outcome, ReadOnlyTree
from tools_api.sandbox.selftest import SelfTestFailed, bait_folder

Run = Callable[[Job], Awaitable[Outcome]]

_PROBE = ReadOnlyTree(Path(__file__).parent / "guest" / "probe.py", "/opt/probe.py")
_LIMITS = Limits(wall_s=15.0, memory_bytes=64 * MIB)
_SHORT = Limits(wall_s=0.2, memory_bytes=64 * MIB)
_TOO_MUCH = 256 * MIB


async def run_self_test(run: Run) -> tuple[dict[str, bool], str]:
    """Run the probes; return every check by name, all true, and the version of Python inside.

    Raises `SelfTestFailed`, and what `run` raises.
    """
    with (
        bait_folder() as folder,
        socket.create_server(("127.0.0.1", 0)) as tcp,
    ):
        secret = _planted(Path(folder))
        probes = (
            _job(f"isolation\0{secret}\0{tcp.getsockname()[1]}", _LIMITS),
            _job(f"memory\0{_TOO_MUCH}", _LIMITS),
            _job("loop", _SHORT),
        )
        ended = await asyncio.gather(*map(run, probes), return_exceptions=True)  # all, so that none is left behind
        written = os.path.exists(f"{secret}.written")  # noqa: ASYNC240, PTH110 - in a folder that is in memory
    for failure in ended:
        if isinstance(failure, BaseException):
            raise failure
    isolation, memory, loop = (outcome for outcome in ended if isinstance(outcome, Outcome))
    seen = {**_decode(isolation.report), **_decode(memory.report)}
    python = seen.pop("python", "")
    checks = {name: value == "refused" for name, value in seen.items()}
    checks["isolation_probed"] = len(seen) == 9  # no probe came back with less
    checks["nothing_was_written"] = not written
    checks["endless_loop_stopped"] = loop.limit == "timeout"
    failed = [name for name, holds in checks.items() if not holds]
    if failed:
        observed = "; ".join(f"{name} was {seen.get(name, 'not as expected')!r}"[:120] for name in failed)
        raise SelfTestFailed(observed, checks)
    return checks, python


def _planted(folder: Path) -> Path:
    """Plant a secret where any user may read and write: only that an instance has no way there protects it."""
    folder.chmod(0o777)
    secret = folder / "secret"
    secret.write_text(secrets.token_hex(8))
    secret.chmod(0o644)
    return secret


def _job(payload: str, limits: Limits) -> Job:
    return Job(script=_PROBE.target, payload=payload.encode(), trees=(_PROBE,), limits=limits)


def _decode(report: bytes) -> dict[str, str]:
    parts = report.decode("utf-8", "replace").split("\0")
    return dict(zip(parts[::2], parts[1::2], strict=False))
