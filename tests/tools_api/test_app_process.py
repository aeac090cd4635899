"""`python -m tools_api` as a process of its own: the calculator, departures, wrong starts, signals."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
KEY = "k" * 40
LONG = " + ".join(f"sin(10**{78_000 - step})" for step in range(12))  # a second of computing, and then a kill


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data_dir: Path, port: int, **extra: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    own = {"DATA_DIR": str(data_dir), "TOOLS_PORT": str(port), "TOOLS_API_KEY": KEY, "SANDBOX_LEVELS": ","}
    own["RAG_ENCODER_PRELOAD"] = "false"
    return {**kept, **own, **extra}


def start_wrong(data_dir: Path, port: int, **extra: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools_api"]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(data_dir, port, **extra),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@dataclass
class Process:
    url: str
    process: psutil.Popen
    client: aiohttp.ClientSession

    async def calculate(self, expression: str) -> Any:
        url = f"{self.url}/v1/tools/calculator/invoke"
        async with self.client.post(url, json={"arguments": {"expression": expression}}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    def workers(self) -> list[psutil.Process]:
        return [child for child in self.process.children(recursive=True) if "calculator" in " ".join(child.cmdline())]


@asynccontextmanager
async def running(tmp_path: Path, **extra: str) -> AsyncGenerator[Process]:
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "tools_api"], cwd=ROOT, env=environment(tmp_path / "data", port, **extra), stderr=log
        )
    try:
        async with aiohttp.ClientSession(headers={"X-API-Key": KEY}) as client:
            async with asyncio.timeout(120):
                while not await is_healthy(client, port):
                    assert process.is_running(), (tmp_path / "log").read_text()
                    await asyncio.sleep(0.05)
            yield Process(f"http://127.0.0.1:{port}", process, client)
    finally:
        if process.is_running():
            process.kill()
        process.wait()


async def is_healthy(client: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with client.get(f"http://127.0.0.1:{port}/health") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def test_the_calculator_answers_and_a_bomb_ends_within_its_time(tmp_path: Path) -> None:
    async with running(tmp_path) as served:
        answer = await served.calculate("2**10 + sqrt(144)")
        start_up = max(sum(worker.cpu_times()[:2]) for worker in served.workers())
        bombs = await asyncio.gather(*(served.calculate(bomb) for bomb in ("9**9**9", "factorial(10**9)", LONG)))
        after = await served.calculate("1 + 1")
        async with asyncio.timeout(30):
            while not (ended := sum(served.process.cpu_times()[2:4])):  # of the worker that was killed, and no other
                await asyncio.sleep(0.02)

    assert (answer["ok"], answer["content"], answer["data"]["exact"]) == (True, "1036", "1036")
    assert [bomb["error"]["type"] for bomb in bombs] == ["too_large", "too_large", "timeout"]
    assert 0 < ended - start_up < 1.5, "it was to compute for a second at most"
    assert after["content"] == "2"


async def test_a_departed_caller_stops_the_computing_process(tmp_path: Path) -> None:
    async with running(tmp_path) as served:
        await served.calculate("1")
        await served.calculate("1")
        before = {worker.pid for worker in served.workers()}
        calling = asyncio.create_task(served.calculate(LONG))
        await asyncio.sleep(0.1)
        calling.cancel()
        async with asyncio.timeout(10):
            while all(psutil.pid_exists(pid) for pid in before):
                await asyncio.sleep(0.01)

    assert '"outcome":"cancelled"' in (tmp_path / "log").read_text(), "it was killed for its time, not for the caller"


def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        ended = start_wrong(tmp_path, holder.getsockname()[1])

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "taken" in ended.stderr
    assert "TOOLS_PORT" in ended.stderr


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("TOOLS_PORT", "many", "TOOLS_PORT"),
        ("TOOLS_API_KEY", "short", "32 characters"),
        ("TOOLS_SERVICE_KEYS", "reports:short", "32 characters"),
        ("TOOLS_SERVICE_KEYS", "reports", "name:key"),
        ("TOOLS_SERVICE_KEYS", "main_api:" + "x" * 40, "main_api"),
    ],
)
def test_a_wrong_setting_is_named_and_ends_the_start(tmp_path: Path, variable: str, value: str, words: str) -> None:
    ended = start_wrong(tmp_path, free_port(), **{variable: value})

    assert ended.returncode == 2
    assert variable in ended.stderr
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "x" * 40 not in ended.stderr


async def test_sigterm_with_an_open_call_ends_in_time_and_leaves_no_process(tmp_path: Path) -> None:
    async with running(tmp_path, SHUTDOWN_GRACE_S="2") as served:
        await served.calculate("1")
        workers = served.workers()
        calling = asyncio.create_task(served.calculate(LONG))
        await asyncio.sleep(0.1)

        served.process.send_signal(signal.SIGTERM)
        outcome = (await asyncio.gather(calling, return_exceptions=True))[0]
        await asyncio.to_thread(served.process.wait, 30)

        assert isinstance(outcome, dict), "the open call was answered before the end"
        assert not any(worker.is_running() for worker in workers)


async def test_a_killed_server_leaves_no_worker_behind(tmp_path: Path) -> None:
    async with running(tmp_path) as served:
        await served.calculate("1")
        workers = served.workers()
        served.process.kill()
        served.process.wait()
        async with asyncio.timeout(30):
            while any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers):
                await asyncio.sleep(0.02)

    assert workers


async def test_the_log_has_one_json_line_a_call_and_no_key(tmp_path: Path) -> None:
    async with running(tmp_path) as served:
        url = f"{served.url}/v1/tools/calculator/invoke"
        body = {"arguments": {"expression": "1 + 1"}, "request_id": "req_from_main"}
        async with served.client.post(url, json=body) as answer:
            assert answer.status == 200
        async with served.client.get(f"{served.url}/v1/tools", headers={"X-API-Key": "canary" * 8}) as answer:
            assert answer.status == 401

    log = (tmp_path / "log").read_text()
    calls = [line for line in map(json.loads, log.splitlines()) if line["event"] == "tool_call"]
    assert [(call["tool"], call["caller"], call["outcome"]) for call in calls] == [("calculator", "main_api", "ok")]
    assert calls[0]["request_id"] == "req_from_main"
    assert KEY not in log
    assert "canary" not in log


async def test_without_a_sandbox_level_python_is_refused_and_health_says_degraded(tmp_path: Path) -> None:
    async with running(tmp_path) as served:
        url = f"{served.url}/v1/tools/python_coder/invoke"
        async with served.client.post(url, json={"arguments": {"code": "print(1)"}}) as answer:
            status, refused = answer.status, await answer.json()
        async with served.client.get(f"{served.url}/health") as answer:
            health = await answer.json()

    assert (status, refused["error"]["code"]) == (503, "sandbox_unavailable")
    assert (health["status"], health["sandbox"]) == ("degraded", "off")
    assert health["tools"] == {"calculator": "available", "python_coder": "unavailable", "rag": "available"}


@pytest.mark.sandbox
async def test_python_runs_in_the_sandbox_and_its_file_is_downloaded(tmp_path: Path) -> None:
    async with running(tmp_path, SANDBOX_LEVELS="ns-seccomp") as served:
        body = {"arguments": {"code": "open('a.txt', 'w').write('made'); print(6 * 7)"}, "workspace": "s1"}
        async with served.client.post(f"{served.url}/v1/tools/python_repl/invoke", json=body) as answer:
            result = await answer.json()
        async with served.client.get(f"{served.url}/v1/artifacts/{result['artifacts'][0]['id']}") as answer:
            content = await answer.read()

    assert result["ok"], result
    assert "42" in result["content"]
    assert content == b"made"


def test_importing_writes_nothing_and_reads_no_setting(tmp_path: Path) -> None:
    code = "import tools_api.app, tools_api.__main__; import sys; sys.exit('sympy' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**environment(tmp_path, 1, TOOLS_PORT="wrong"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stderr, ended.stdout) == (0, b"", b"")
    assert list(tmp_path.iterdir()) == []
