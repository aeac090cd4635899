"""Start and stop Twinport the way the README says, on free ports with a data folder of its own."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import orjson
from openai import OpenAI

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Twinport:
    """A running pair of servers. `start` and `stop` may alternate; ports and data stay."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.port, self.tools_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tools_url = f"http://127.0.0.1:{self.tools_port}"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Run `start_servers.sh` and return the seconds until both servers were healthy."""
        ports = ["--port", str(self.port), "--tools-port", str(self.tools_port)]
        self.data_dir.mkdir(parents=True, exist_ok=True)
        output = (self.data_dir / "start.log").open("ab")
        self._process = subprocess.Popen(
            ["bash", str(ROOT / "start_servers.sh"), *ports, "--data-dir", str(self.data_dir)],
            stdout=output,
            stderr=output,
            env=os.environ | {"OLLAMA_BASE_URL": "http://127.0.0.1:9"} | self._settings,
            start_new_session=True,
        )
        output.close()
        started = time.monotonic()
        while not (self.healthy(self.tools_url) and self.healthy(self.url)):
            if self._process.poll() is not None or time.monotonic() - started > 120:
                raise AssertionError((self.data_dir / "start.log").read_text())
            time.sleep(0.05)
        return time.monotonic() - started

    def stop(self) -> int:
        """Press Ctrl-C and return the exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(60)

    @staticmethod
    def healthy(url: str) -> bool:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def call(self, method: str, path: str, body: object = None, *, key: str = "") -> tuple[int, dict[str, object]]:
        """Send one JSON request and return status and JSON body."""
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        data = None if body is None else orjson.dumps(body)
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, orjson.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, orjson.loads(error.read() or b"{}")

    def person(self, name: str) -> str:
        """Make an account and return its access token."""
        credentials = {"username": name, "password": "password123"}
        status, answer = self.call("POST", "/api/auth/signup", credentials)
        assert status in {200, 201, 409}, answer
        status, answer = self.call("POST", "/api/auth/login", credentials)
        assert status == 200, answer
        return str(answer["access_token"])

    def program(self, name: str) -> str:
        """Make an account and return an API key of it."""
        status, answer = self.call("POST", "/api/auth/api-keys", {"keyName": "test"}, key=self.person(name))
        assert status in {200, 201}, answer
        data = answer["data"]
        assert isinstance(data, dict)
        return str(data["apiKey"])

    def sdk(self, key: str) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60)
