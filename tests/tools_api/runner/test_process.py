"""`python -m tools_api.runner` as a process of its own: its settings, and its end in the middle of a run."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.tools_api.marked import new_marker, until_alive, until_gone
from tests.tools_api.runner.conftest import KEY, remote_sandbox
from tests.tools_api.sandbox.conftest import need_bubblewrap
from tests.tools_api.test_app_process import free_port, is_healthy
from tools_api.sandbox import Job, SandboxUnavailable

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def environment(port: int, **extra: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "RUNNER_PORT": str(port), "SANDBOX_REMOTE_KEY": KEY, "SANDBOX_LEVELS": "ns-seccomp", **extra}


@asynccontextmanager
async def running(tmp_path: Path, **extra: str) -> AsyncGenerator[tuple[str, psutil.Popen]]:
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "tools_api.runner"], cwd=ROOT, env=environment(port, **extra), stderr=log
        )
    try:
        async with aiohttp.ClientSession() as client, asyncio.timeout(120):
            while not await is_healthy(client, port):
                assert process.is_running(), (tmp_path / "log").read_text()
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.is_running():
            process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"SANDBOX_REMOTE_KEY": ""}, "SANDBOX_REMOTE_KEY"),
        ({"SANDBOX_REMOTE_KEY": "short"}, "32 characters"),
        ({"SANDBOX_REMOTE_KEY_FILE": "/nonexistent/key"}, "SANDBOX_REMOTE_KEY_FILE"),
        ({"SANDBOX_LEVELS": "remote"}, "SANDBOX_LEVELS"),
        ({"RUNNER_PORT": "many"}, "RUNNER_PORT"),
    ],
    ids=["no key", "short key", "no key file", "a runner of a runner", "port"],
)
def test_settings_that_make_no_runner_end_the_start(extra: dict[str, str], words: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tools_api.runner"],
        cwd=ROOT,
        env=environment(free_port(), **extra),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.sandbox
async def test_a_runner_killed_in_the_middle_of_a_run(tmp_path: Path) -> None:
    need_bubblewrap()
    key_file = tmp_path / "key"
    key_file.write_text(f"{KEY}\n")
    marker = new_marker()
    async with (
        running(tmp_path, SANDBOX_REMOTE_KEY="", SANDBOX_REMOTE_KEY_FILE=str(key_file)) as (url, process),
        remote_sandbox(url) as sandbox,
    ):
        assert sandbox.report.available, sandbox.report
        run = asyncio.create_task(sandbox.run(Job(argv=("/bin/sh", "-c", f"sleep 600 {marker}"))))
        await until_alive(marker)
        process.send_signal(signal.SIGKILL)
        with pytest.raises(SandboxUnavailable, match="broke off"):
            await run
        started = time.monotonic()
        with pytest.raises(SandboxUnavailable):
            await sandbox.run(Job(argv=("/bin/true",)))
        assert time.monotonic() - started < 10
        assert not sandbox.report.available
        await until_gone(marker)
    assert KEY not in (tmp_path / "log").read_text()
