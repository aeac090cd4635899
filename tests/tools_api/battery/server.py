"""The tools API in a process of its own, under a given account, and what an attacker may ask of it."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.tools_api.accounts import Account
from tests.tools_api.marked import PATIENCE_S, new_marker, until_alive, until_gone

KEY = "k" * 40
OTHER_KEY = "o" * 40
MEMORY_BYTES = 256 << 20
WORKSPACE_BYTES = 16 << 20
LONGEST_S = 60
SLEEP = "import os\nos.execv('/bin/sleep', ['sleep', '60', '{marker}'])"
_SETTINGS = {
    "TOOLS_API_KEY": KEY,
    "TOOLS_SERVICE_KEYS": f"other:{OTHER_KEY}",
    "SANDBOX_LEVELS": "ns-seccomp",
    "SANDBOX_MEMORY_MB": str(MEMORY_BYTES >> 20),
    "SANDBOX_WORKSPACE_MB": str(WORKSPACE_BYTES >> 20),
    "DEFAULT_TOOL_TIMEOUT": str(LONGEST_S),
    "RAG_ENCODER_PRELOAD": "false",
}


MARKS = [
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.usefixtures("healthy_afterwards"),
]
"""Of every file whose attacks share the two servers."""


@dataclass(frozen=True)
class Attempt:
    """What came back from one attack."""

    status: int
    result: Any
    body_bytes: int

    @property
    def stdout(self) -> str:
        return str(self.result["data"]["stdout"]).strip()

    @property
    def error(self) -> str | None:
        """The stable word for why it failed, None if it did not."""
        return self.result["error"] and str(self.result["error"]["type"])

    @property
    def exception(self) -> str:
        """The last line of the traceback: that the attack was made, and what the sandbox said to it."""
        return str(self.result["data"]["traceback"] or "").strip().rpartition("\n")[2]

    @property
    def names(self) -> list[str]:
        """The names of the files that came back."""
        return [str(artifact["name"]) for artifact in self.result["artifacts"]]

    @property
    def receipt(self) -> dict[str, Any]:
        return self.result["receipt"]


@dataclass(frozen=True)
class Server:
    """A running tools API."""

    account: Account
    url: str
    folder: Path
    process: psutil.Process
    client: aiohttp.ClientSession

    async def run(
        self, code: str, *, timeout: float = LONGEST_S / 2, workspace: str | None = None, key: str = KEY
    ) -> Attempt:
        """Run code as a service with `key` does."""
        body = {
            "arguments": {"code": code, "timeout": timeout},
            "workspace": workspace,
            "deadline_ms": int(LONGEST_S * 2000),
        }
        async with self.call(body, key=key) as answer:
            return Attempt(answer.status, await answer.json(), len(await answer.read()))

    def call(self, body: object, *, key: str = KEY) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Send any body."""
        url = f"{self.url}/v1/tools/python_coder/invoke"
        return self.client.post(url, json=body, headers={"X-API-Key": key})

    async def said(self, code: str, **options: Any) -> str:
        """Run code that comes to a good end, and return what it printed."""
        attempt = await self.run(code, **options)
        assert (attempt.status, attempt.error) == (200, None), (attempt.result, self.log()[-6000:])
        return attempt.stdout

    async def refusal(self, code: str, **options: Any) -> str:
        """Run code that is to fail by an exception, and return it: `PermissionError: [Errno 1] …`."""
        attempt = await self.run(code, **options)
        assert (attempt.status, attempt.error) == (200, "exception"), attempt.result
        return attempt.exception

    @asynccontextmanager
    async def held(self, prepare: str = "", **options: Any) -> AsyncGenerator[int]:
        """Keep a run open that has executed `prepare`; yield its process id on the host. Then its caller departs."""
        marker = new_marker()
        run = asyncio.create_task(self.run(f"{prepare}\n{SLEEP.format(marker=marker)}", **options))
        try:
            yield (await until_alive(marker))[0]
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            await until_gone(marker)

    async def download(self, artifact: dict[str, Any]) -> bytes:
        url = f"{self.url}/v1/artifacts/{artifact['id']}"
        async with self.client.get(url, headers={"X-API-Key": KEY}) as answer:
            assert answer.status == 200
            return await answer.read()

    async def health(self) -> dict[str, Any]:
        async with self.client.get(f"{self.url}/health") as answer:
            assert answer.status == 200
            return await answer.json()

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def bytes_on_disk(self) -> int:
        """What it has written below its data folder."""
        return sum(path.lstat().st_size for path in (self.folder / "data").rglob("*") if path.is_file())


@asynccontextmanager
async def running(
    account: Account, folder: Path, *, before: Sequence[str] = (), pass_fds: Sequence[int] = (), **extra: str
) -> AsyncGenerator[Server]:
    """Start a server below `folder`; `before` are arguments of Python that come instead of its `-m tools_api`."""
    port = _free_port()
    for name in ("data", "tmp"):
        (folder / name).mkdir(exist_ok=True)
        os.chown(folder / name, account.uid, -1)
    own = {"DATA_DIR": str(folder / "data"), "TMPDIR": str(folder / "tmp"), "TOOLS_PORT": str(port)}
    with (folder / "log").open("ab") as log:
        process = psutil.Popen(
            [*account.argv, *(before or ("-m", "tools_api"))],
            cwd=account.cwd,
            env={**account.env, **_SETTINGS, **own, **extra},
            stderr=log,
            pass_fds=pass_fds,
        )
    try:
        async with aiohttp.ClientSession() as client:
            server = Server(account, f"http://127.0.0.1:{port}", folder, process, client)
            await _until_it_answers(server)
            yield server
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, PATIENCE_S)
        finally:
            if process.is_running():
                process.kill()


async def _until_it_answers(server: Server) -> None:
    deadline = time.monotonic() + 2 * PATIENCE_S
    while True:
        assert server.process.status() != psutil.STATUS_ZOMBIE, server.log()
        assert time.monotonic() < deadline, server.log()
        try:
            await server.health()
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
