"""The supervisor over two real child processes (small HTTP servers): order, restarts, stopping, no orphans."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.ports import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
GONE_WITHIN_S = 10


class Run:
    """A supervisor in its own process, read line by line."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.tools_port, self.main_port = int(plan["tools"][0]), int(plan["main"][0])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.supervise", json.dumps(plan)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said: list[dict[str, Any]] = []
        self.servers: list[psutil.Process] = []
        self.children: list[psutil.Process] = []

    def until(self, what: str) -> dict[str, Any]:
        return self.until_any(what)

    def until_any(self, *wanted: str) -> dict[str, Any]:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(json.loads(line))
            if self.said[-1]["what"] == "pids":
                known = {server.pid for server in self.servers}
                self.servers += [psutil.Process(pid) for pid in self.said[-1]["pids"] if pid not in known]
            if self.said[-1]["what"] in {"ready", "healthy"}:
                for server in self.servers:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        self.children += server.children()
            if self.said[-1]["what"] in wanted:
                return self.said[-1]
        raise AssertionError(f"ended without {wanted}: {self.said}")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(*, tools: tuple[str, ...] = (), main: tuple[str, ...] = (), **more: Any) -> Run:
        ports = [str(free_port("127.0.0.1")) for _ in range(2)]
        runs.append(Run({"folder": str(tmp_path), "tools": [ports[0], *tools], "main": [ports[1], *main], **more}))
        return runs[-1]

    yield start
    for run in runs:
        for process in [*run.servers, *run.children]:
            if process.is_running():
                process.kill()
        run.process.kill()
        run.process.communicate()


def ask(port: int, path: str = "/health") -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return json.load(answer)


def all_gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=GONE_WITHIN_S)[1]


def test_it_is_ready_when_first_the_tools_and_then_the_main_server_are_healthy(start: Callable[..., Run]) -> None:
    run = start()
    run.until("ready")
    assert [entry.get("name") for entry in run.said if entry["what"] == "healthy"] == ["tools", "main"]
    assert ask(run.main_port)["status"] == "OK"


def test_ctrl_c_stops_both_servers_and_their_children(start: Callable[..., Run]) -> None:
    run = start()
    run.until("ready")
    family = [*run.servers, *run.children]
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(GONE_WITHIN_S) == 0
    assert len(set(family)) == 4
    assert all_gone(family)


def test_sigterm_stops_both_servers(start: Callable[..., Run]) -> None:
    run = start()
    run.until("ready")
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(GONE_WITHIN_S) == 0
    assert all_gone(run.servers)


def test_a_second_ctrl_c_does_not_wait_for_a_stubborn_server(start: Callable[..., Run]) -> None:
    run = start(main=("--stubborn",), stop_s=600)
    run.until("ready")
    run.process.send_signal(signal.SIGINT)
    run.until("stopping")
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(GONE_WITHIN_S) == 0
    assert all_gone(run.servers)


def test_a_stubborn_server_is_killed_after_its_grace(start: Callable[..., Run]) -> None:
    run = start(main=("--stubborn",), stop_s=0.3)
    run.until("ready")
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(GONE_WITHIN_S) == 0
    assert all_gone(run.servers)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_kill_9_of_the_supervisor_leaves_no_server_behind(start: Callable[..., Run]) -> None:
    run = start()
    run.until("ready")
    run.process.kill()
    assert all_gone(run.servers)


def test_tools_that_die_are_said_and_started_again_while_main_goes_on(start: Callable[..., Run]) -> None:
    run = start()
    run.until("ready")
    main_child = ask(run.main_port)["child"]
    os.kill(run.servers[0].pid, signal.SIGKILL)
    assert run.until("trouble")["sentence"].startswith(
        "The tools stopped (ended by SIGKILL). Starting it again in 0.05 s"
    )
    assert run.until("healthy")["name"] == "tools"
    assert ask(run.tools_port)["status"] == "OK"
    assert ask(run.main_port)["child"] == main_child


def test_a_log_that_cannot_be_trimmed_stops_no_server(start: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "main.log").touch()
    os.truncate(tmp_path / "main.log", 51 * 2**20)
    (tmp_path / "main.log.1").mkdir()  # where the copy would go
    run = start()
    run.until("ready")
    os.kill(run.servers[0].pid, signal.SIGKILL)
    run.until("healthy")  # by now the logs have been looked at
    assert ask(run.main_port)["status"] == "OK"
    assert (tmp_path / "main.log").stat().st_size >= 51 * 2**20


def test_a_main_server_that_dies_is_started_again_while_the_tools_go_on(start: Callable[..., Run]) -> None:
    run = start()
    run.until("ready")
    tools_child = ask(run.tools_port)["child"]
    os.kill(run.servers[1].pid, signal.SIGKILL)
    trouble = run.until("trouble")
    assert trouble["sentence"] == "The main stopped (ended by SIGKILL). Starting it again in 0.05 s."
    assert "child " in trouble["details"]  # the line that the fake wrote to its log
    assert run.until("healthy")["name"] == "main"
    assert ask(run.main_port)["status"] == "OK"
    assert ask(run.tools_port)["child"] == tools_child


def test_a_main_server_that_dies_again_and_again_ends_everything(start: Callable[..., Run]) -> None:
    run = start(main=("--die-after", "2"))  # healthy once; the next question kills it
    run.until("ready")
    for _ in range(5):
        with contextlib.suppress(OSError):
            ask(run.main_port, "/die")
        if run.until_any("healthy", "failed")["what"] == "failed":
            break
    assert "The main stopped 5 times soon after its start (the last time: exit status 3)" in run.said[-1]["sentence"]
    assert "the fake dies" in run.said[-1]["sentence"]
    assert sum(entry["what"] == "trouble" for entry in run.said) == 4
    assert run.process.wait(GONE_WITHIN_S) == 1
    assert all_gone(run.servers)


def test_a_main_server_that_lived_long_between_its_deaths_is_not_given_up(start: Callable[..., Run]) -> None:
    run = start(steady_s=0)
    run.until("ready")
    for _ in range(6):
        with contextlib.suppress(OSError):
            ask(run.main_port, "/die")
        assert run.until_any("healthy", "failed")["what"] == "healthy"


def test_a_server_that_cannot_start_is_quoted_readably(start: Callable[..., Run]) -> None:
    run = start(main=("--fail",))
    sentence = run.until("failed")["sentence"]
    assert "The main could not start (exit status 7)" in sentence
    assert "error: could not read the map (MapError)" in sentence
    assert run.process.wait(GONE_WITHIN_S) == 1
    assert all_gone(run.servers)
