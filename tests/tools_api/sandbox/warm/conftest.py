"""A sandbox with a warm path, and attackers who can tell whether they ran on it."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest_asyncio

from tests.tools_api.marked import PATIENCE_S, alive
from tests.tools_api.sandbox.conftest import ATTACK, LIMITS, Attacker, need_bubblewrap
from tools_api.sandbox import Sandbox, SandboxOptions, WarmProfile, WarmReport
from tools_api.sandbox.process_tree import descendants

PROFILE = WarmProfile(workers=2, trees=(ATTACK,))


@asynccontextmanager
async def warmed(options: SandboxOptions) -> AsyncGenerator[Attacker]:
    """Start a sandbox and wait until its pool is full, or off."""
    need_bubblewrap()
    sandbox = Sandbox(options)
    await sandbox.start()
    try:
        assert sandbox.report.available, sandbox.report
        attacker = Attacker(sandbox)
        await until_settled(attacker)
        yield attacker
    finally:
        await sandbox.aclose()


async def until_settled(attacker: Attacker) -> WarmReport:
    """Wait until as many sandboxes wait as shall, or until the warm path is off; return how it stands then."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        report = warm_report(attacker)
        if report.reason or (report.ready and report.waiting >= PROFILE.workers):
            return report
        assert time.monotonic() < deadline, report
        await asyncio.sleep(0.02)


def warm_report(attacker: Attacker) -> WarmReport:
    report = attacker.sandbox.warm
    assert report is not None
    return report


def zygotes() -> list[int]:
    """Return the zygotes of this process, as the host numbers them."""
    ours = set(descendants(os.getpid()))
    seen = {pid: _status(pid) for pid in alive("/opt/sandbox/zygote.py") if pid in ours}
    depths = {pid: len(status["NSpid"].split()) for pid, status in seen.items() if status.get("Name") != "bwrap"}
    depths = {pid: depth for pid, depth in depths.items() if depth}
    return [pid for pid, depth in depths.items() if depth == min(depths.values())]  # their forks are further down


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        lines = []  # it has ended
    return {"NSpid": ""} | {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def warm() -> AsyncGenerator[Attacker]:
    async with warmed(SandboxOptions(limits=LIMITS, warm=PROFILE)) as attacker:
        assert warm_report(attacker).ready, warm_report(attacker)
        yield attacker
