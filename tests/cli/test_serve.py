"""`twinport serve` with the real servers on free ports."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


class Serve:
    """`twinport serve` as a child, read up to its first prompt."""

    def __init__(self, data_dir: Path, *flags: str) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "cli",
                "serve",
                "--port",
                "0",
                "--tools-port",
                "0",
                "--data-dir",
                str(data_dir),
                *flags,
            ],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = ""
        self.family: list[psutil.Process] = []

    def until(self, wanted: str) -> str:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said += line
            if wanted in line:
                self.family = psutil.Process(self.process.pid).children(recursive=True)
                return line
        raise AssertionError(f"ended without {wanted!r}:\n{self.said}")

    def post(self, path: str, body: dict[str, Any], token: str = "") -> Any:
        return self.ask(path, body=body, token=token)

    def ask(self, path: str, *, token: str, body: dict[str, Any] | None = None) -> Any:
        url = re.search(r"main API +(http\S+)", self.said)
        assert url, self.said
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url[1] + path, data, headers), timeout=60) as answer:
            return json.load(answer)

    def health(self, name: str) -> Any:
        url = re.search(rf"{name} +(http\S+)", self.said)
        assert url, self.said
        with urllib.request.urlopen(url[1] + "/health", timeout=10) as answer:
            return json.load(answer)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        assert self.process.stdout
        self.said += self.process.stdout.read()
        return self.process.wait(60)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Serve]:
    serve = Serve(tmp_path)
    try:
        serve.until("Ctrl-C stops it.")
        yield serve
    finally:
        serve.process.kill()
        serve.process.communicate()
        for process in serve.family:
            if process.is_running():
                process.kill()


@pytest.mark.slow
def test_both_servers_answer_know_each_other_and_stop_without_a_trace(running: Serve, tmp_path: Path) -> None:
    assert running.health("main API")["parts"]["tools"]["status"] == "ok"
    assert running.health("tools API")["tools"]["calculator"] == "available"
    second = subprocess.run(
        [sys.executable, "-m", "cli", "serve", "--port", "0", "--tools-port", "0", "--data-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (second.returncode, "Twinport already runs at http://" in second.stderr) == (1, True)
    assert running.stop() == 0
    assert running.said.rstrip().endswith("Stopped.")
    assert not psutil.wait_procs(running.family, timeout=10)[1]
    assert {path.name for path in (tmp_path / "logs").iterdir()} >= {"main.log", "tools.log"}


@pytest.mark.slow
def test_a_killed_main_api_comes_back_with_its_accounts_and_conversations(running: Serve, tmp_path: Path) -> None:
    password = "correct horse 1"
    create = [sys.executable, "-m", "cli", "user", "create", "ada", "--role", "user", "--password-stdin"]
    environment = {**os.environ, "DATA_DIR": str(tmp_path)}
    subprocess.run(create, cwd=ROOT, env=environment, input=password, text=True, check=True)
    token = running.post("/api/auth/login", {"username": "ada", "password": password})["access_token"]
    question = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}], "store": True, "max_tokens": 8}
    session = running.post("/v1/chat/completions", question, token)["session_id"]

    next(child for child in running.family if "main_api" in child.cmdline()).kill()
    running.until("The main API stopped (ended by SIGKILL). Starting it again in 0.1 s.")
    running.until("main API   http")
    history = running.ask(f"/api/chat/history/{session}", token=token)
    assert [message["role"] for message in history["messages"]] == ["user", "assistant"]
    assert running.stop() == 0


@pytest.mark.slow
def test_a_main_api_that_cannot_start_is_told_by_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://ada:secret@127.0.0.1:{free_port('127.0.0.1')}/none")
    serve = Serve(tmp_path)
    assert serve.process.wait(60) == 1
    assert serve.process.stdout
    told = serve.process.stdout.read()
    assert "The main API could not start (exit status 3). Its last words:" in told
    assert "error: Unavailable: The database cannot be reached" in told
    assert "Traceback" not in told


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_kill_9_leaves_nothing_running_and_the_next_start_works(running: Serve, tmp_path: Path) -> None:
    running.process.kill()
    again = Serve(tmp_path)
    try:
        again.until("Ctrl-C stops it.")
        assert again.health("main API")["status"] in {"OK", "degraded"}
        assert not psutil.wait_procs(running.family, timeout=10)[1]
    finally:
        assert again.stop(signal.SIGTERM) == 0
