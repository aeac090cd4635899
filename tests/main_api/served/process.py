"""The main API as a process of its own (`python -m main_api`), for what signals and crashes do to it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import psutil

from tests.main_api.served.platform import PASSWORD, ROOT, Answer, Streamed, chat_body


class MainProcess:
    """A main API that can be stopped, killed and started again on the same data."""

    def __init__(self, data_dir: Path, port: int, http: aiohttp.ClientSession, **settings: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = data_dir / "main.log"
        self._http = http
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {
            "DATA_DIR": str(data_dir),
            "MAIN_API_PORT": str(port),
            "OLLAMA_BASE_URL": "http://127.0.0.1:9",
            "TOOLS_HOST": "http://127.0.0.1:9",
            "RATE_LIMIT_ENABLED": "false",
        }
        self._environment = {**kept, **own, **settings}
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "main_api"], cwd=ROOT, env=self._environment, stderr=log, stdout=log
            )
        async with asyncio.timeout(60):
            while not await self._is_healthy():
                assert self._process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end of the process and return its status."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, 60)

    def resident_bytes(self) -> int:
        assert self._process is not None
        return psutil.Process(self._process.pid).memory_info().rss

    async def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            await self.ended()

    async def call(self, method: str, path: str, body: object = None, *, key: str = "") -> Answer:
        data = None if body is None else orjson.dumps(body)
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
        async with self._http.request(method, self.url + path, data=data, headers=headers) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, found, await response.read())

    async def chat(self, key: str, model: str, said: object = "Hello", **fields: Any) -> Streamed:
        answer = await self.call("POST", "/v1/chat/completions", chat_body(model, said, **fields), key=key)
        return Streamed(answer.status, answer.headers, answer.raw)

    async def person(self, name: str) -> str:
        """Make an account and return an access token."""
        credentials = {"username": name, "password": PASSWORD}
        made = await self.call("POST", "/api/auth/signup", credentials)
        assert made.status == 201, made.raw
        return (await self.call("POST", "/api/auth/login", credentials)).body["access_token"]

    async def program(self, token: str) -> str:
        return (await self.call("POST", "/api/auth/api-keys", {}, key=token)).body["data"]["apiKey"]

    async def _is_healthy(self) -> bool:
        try:
            async with self._http.get(f"{self.url}/health") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def main_process(data_dir: Path, port: int, **settings: str) -> AsyncIterator[MainProcess]:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as http:
        process = MainProcess(data_dir, port, http, **settings)
        await process.start()
        try:
            yield process
        finally:
            await process.kill()
