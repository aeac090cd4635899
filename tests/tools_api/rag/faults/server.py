"""A tools server of its own process that can be killed and started again on the same data, and a client for it.

The sandbox and the encoder are the real ones, and there is no main API.
"""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import psutil

ROOT = Path(__file__).parents[4]
KEY = "k" * 40
_START_S = 120.0
_WORD = re.compile("zyx[0-9]{5}q")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class ToolsServer:
    """`python -m tools_api` on `folder`; `settings` are variables of its environment."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=_free_port)
    process: psutil.Popen | None = None
    client: aiohttp.ClientSession = field(init=False)

    async def __aenter__(self) -> "ToolsServer":
        self.client = aiohttp.ClientSession(headers={"X-API-Key": KEY}, timeout=aiohttp.ClientTimeout(total=300))
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.close()
        if self.process is not None:
            self.process.terminate()
            await asyncio.to_thread(self.process.wait, 60)

    async def start(self) -> None:
        """Start it and wait until it answers."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {"DATA_DIR": str(self.folder / "data"), "TOOLS_PORT": str(self.port), "TOOLS_API_KEY": KEY}
        with self.log.open("ab") as log:
            self.process = psutil.Popen(
                [sys.executable, "-m", "tools_api"], cwd=ROOT, env={**kept, **own, **self.settings}, stderr=log
            )
        async with asyncio.timeout(_START_S):
            while not await self._answers():
                assert self.process.is_running(), self.log.read_text()[-4000:]
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self.process.wait, 30)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Return an answer's status and body; waits while retrieval is being opened."""
        async with asyncio.timeout(_START_S):
            while True:
                async with self.client.request(method, f"http://127.0.0.1:{self.port}{path}", **more) as answer:
                    body = json.loads(await answer.read())
                if answer.status != 503 or body.get("error", {}).get("code") != "rag_unavailable":
                    return answer.status, body
                await asyncio.sleep(0.2)

    async def collection(self, name: str = "docs") -> str:
        """Make a collection and return its id."""
        status, body = await self.ask("POST", "/v1/rag/collections", json={"name": name})
        assert status == 201, body
        return body["id"]

    async def upload(self, files: Mapping[str, bytes | str], to: str = "docs") -> tuple[int, Any]:
        """Upload files in one request."""
        form = aiohttp.FormData(quote_fields=False)
        for name, content in files.items():
            form.add_field("file", content if isinstance(content, bytes) else content.encode(), filename=name)
        return await self.ask("POST", f"/v1/rag/collections/{to}/documents", data=form)

    async def job(self, job_id: str) -> Any:
        """Return a job."""
        status, body = await self.ask("GET", f"/v1/rag/jobs/{job_id}")
        assert status == 200, body
        return body

    async def finished(self, job_id: str, within_s: float = 900) -> Any:
        """Wait until a job has ended."""
        async with asyncio.timeout(within_s):
            while (job := await self.job(job_id))["state"] in {"queued", "running"}:
                await asyncio.sleep(1)
        return job

    async def documents(self, of: str = "docs") -> list[Any]:
        """Return all documents of a collection."""
        found: list[Any] = []
        after: dict[str, str] = {}
        while True:
            status, page = await self.ask("GET", f"/v1/rag/collections/{of}/documents", params={"limit": 200, **after})
            assert status == 200, page
            found += page["data"]
            if not page["has_more"]:
                return found
            after = {"after": page["last_id"]}

    async def passages(self, of: str = "docs") -> list[Any]:
        """Return what is in the index, by its export."""
        url = f"http://127.0.0.1:{self.port}/v1/rag/collections/{of}/export"
        async with self.client.get(url) as answer:
            assert answer.status == 200, await answer.text()
            return [json.loads(line) async for line in answer.content if line.strip()]

    async def _answers(self) -> bool:
        try:
            return (await self.ask("GET", "/health"))[0] == 200
        except aiohttp.ClientError:
            return False


def small_files(number: int) -> dict[str, str]:
    """Make Markdown files with a word each that is in no other one."""
    return {
        f"folder{index % 7}/note{index}.md": f"# Note {index}\n\nThe word of this note is {word(index)}. "
        f"It was written on day {index} of a year in which nothing else happened, and nobody will miss it.\n"
        for index in range(number)
    }


def word(index: int) -> str:
    """Return the word of a file."""
    return f"zyx{index:05}q"


def words_in(passages: Iterable[Any]) -> list[str]:
    """Return the words of files that passages have, sorted, each as often as it is there."""
    return sorted(found for one in passages for found in _WORD.findall(one["text"]))
