"""The real main API under a real uvicorn, in this process, with a scripted upstream and a scripted tools API."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvicorn
from fastapi import FastAPI

from config import Settings
from main_api.app import create_app
from main_api.usage.service import UsageRecorder
from shared.serve import bind
from tests.main_api.served.upstream import Upstream
from tests.main_api.toolbox.server import ToolsServer

PASSWORD = "password123"
ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Answer:
    """A finished HTTP exchange."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return orjson.loads(self.raw)

    @property
    def error(self) -> dict[str, Any]:
        return self.body["error"]

    @property
    def text(self) -> Any:
        return self.body["choices"][0]["message"]["content"]


@dataclass
class Streamed(Answer):
    """A stream read to its end."""

    @property
    def frames(self) -> list[bytes]:
        lines = (line for block in self.raw.split(b"\n\n") for line in block.split(b"\n"))
        return [line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:")]

    @property
    def done(self) -> bool:
        return b"[DONE]" in self.frames

    @property
    def chunks(self) -> list[Any]:
        return [orjson.loads(frame) for frame in self.frames if frame != b"[DONE]"]

    @property
    def errors(self) -> list[Any]:
        return [chunk["error"] for chunk in self.chunks if chunk.get("error")]

    @property
    def text(self) -> str:
        return "".join(delta.get("content") or "" for delta in self.deltas())

    def deltas(self, index: int = 0) -> Iterator[dict[str, Any]]:
        for chunk in self.chunks:
            for choice in chunk.get("choices") or ():
                if choice["index"] == index:
                    yield choice["delta"]

    @property
    def finish_reasons(self) -> list[str]:
        choices = (choice for chunk in self.chunks for choice in chunk.get("choices") or ())
        return [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]

    @property
    def usages(self) -> list[Any]:
        return [chunk["usage"] for chunk in self.chunks if chunk.get("usage")]

    def of_type(self, kind: str) -> list[Any]:
        return [chunk for chunk in self.chunks if chunk.get("type") == kind]


@dataclass
class Platform:
    """A running main API. `person`, `stranger` and `admin` are access tokens, `program` is an API key of `person`."""

    url: str
    data_dir: Path
    upstream: Upstream
    tools: ToolsServer
    http: aiohttp.ClientSession
    app: FastAPI
    recorder: UsageRecorder
    background: frozenset[asyncio.Task[Any]]
    admin: str = ""
    person: str = ""
    stranger: str = ""
    program: str = ""
    _names: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))

    def model(self) -> str:
        """A fresh name for a scripted model: circuit breakers, scripts and usage are per model."""
        return f"m{next(self._names)}"

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str = "",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        data = body if isinstance(body, bytes) else None if body is None else orjson.dumps(body)
        sent = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
        async with self.http.request(
            method, self.url + path, data=data, headers={**sent, **(headers or {})}, allow_redirects=False
        ) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, found, await response.read())

    async def chat(self, key: str, model: str, said: object = "Hello", **fields: Any) -> Answer:
        return await self.call("POST", "/v1/chat/completions", chat_body(model, said, **fields), key=key)

    async def stream(self, key: str, model: str, said: object = "Hello", **fields: Any) -> Streamed:
        answer = await self.chat(key, model, said, stream=True, **fields)
        return Streamed(answer.status, answer.headers, answer.raw)

    @asynccontextmanager
    async def open_stream(
        self, key: str, model: str, said: object = "Hello", **fields: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A stream to be read piece by piece; leaving the block closes the connection."""
        response = await self.http.post(
            f"{self.url}/v1/chat/completions",
            data=orjson.dumps(chat_body(model, said, stream=True, **fields)),
            headers={"content-type": "application/json", "authorization": f"Bearer {key}"},
        )
        try:
            yield response
        finally:
            response.close()

    async def history(self, key: str, session_id: str) -> list[dict[str, Any]]:
        answer = await self.call("GET", f"/api/chat/history/{session_id}", key=key)
        assert answer.status == 200, answer.raw
        return answer.body["messages"]

    async def new_account(self, name: str, *, role: str = "user", key: str = "") -> str:
        credentials = {"username": name, "password": PASSWORD}
        made = await self.call("POST", "/api/auth/signup", {**credentials, "role": role}, key=key)
        assert made.status == 201, made.raw
        return (await self.call("POST", "/api/auth/login", credentials)).body["access_token"]

    async def new_key(self, token: str, **fields: Any) -> str:
        answer = await self.call("POST", "/api/auth/api-keys", {"keyName": "test", **fields}, key=token)
        return answer.body["data"]["apiKey"]

    async def usage(self, model: str, *, calls: int = 1) -> list[dict[str, Any]]:
        """The usage rows of a model, as soon as that many calls are in the database."""
        rows: list[dict[str, Any]] = []
        async with asyncio.timeout(120):
            while sum(row["calls"] for row in rows) < calls:
                await asyncio.sleep(0.02)
                await self.recorder.flush()
                rows = self._usage_rows(model)
        return rows

    def _usage_rows(self, model: str) -> list[dict[str, Any]]:
        with contextlib.closing(sqlite3.connect(self.data_dir / "twinport.db")) as db:
            db.row_factory = sqlite3.Row
            found = db.execute("SELECT * FROM usage WHERE model LIKE ? ORDER BY at", (f"%/{model}",)).fetchall()
            return [dict(row) for row in found]

    async def settled(self) -> set[str]:
        """The names of the app's tasks that belong to requests, once they had time to end."""
        running: set[str] = set()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            tasks = asyncio.all_tasks() - self.background
            running = {name for task in tasks if (name := _name_if_ours(task))}
            if not running:
                break
            await asyncio.sleep(0.02)
        return running


def _name_if_ours(task: asyncio.Task[Any]) -> str:
    """Name a task if the app or a request of it runs in it: not the server's own, nor a test's."""
    coroutine = task.get_coro()
    name = getattr(coroutine, "__qualname__", "")
    file = getattr(getattr(coroutine, "cr_code", getattr(coroutine, "ag_code", None)), "co_filename", "")
    ours = file.startswith((str(ROOT / "main_api"), str(ROOT / "shared"))) or name.startswith("RequestResponseCycle")
    return name if ours else ""


def chat_body(model: str, said: object = "Hello", **fields: Any) -> dict[str, Any]:
    messages = said if isinstance(said, list) else [{"role": "user", "content": said}]
    return {"model": f"compatible/{model}", "messages": messages, **fields}


class _Server(uvicorn.Server):
    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # the test runner's are none of its business
        return contextlib.nullcontext()


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Serve an application on a free port; yield its URL and its lifespan state."""
    listener = bind("127.0.0.1", 0, variable="PORT")
    config = uvicorn.Config(
        app, lifespan="on", http="httptools", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(120):
            while not server.started:
                assert not running.done(), "the server did not start"
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", server.lifespan.state
    finally:
        server.should_exit = True
        await running


def settings(data_dir: Path, upstream: Upstream, tools: ToolsServer, **overrides: Any) -> Settings:
    values: dict[str, Any] = {
        "data_dir": data_dir,
        "openai_compatible_base_url": upstream.base_url,
        "openai_compatible_api_key": "sk-upstream-canary-000000000000000000",
        "tools_host": tools.url,
        "tools_api_key": "tools-canary-" + "k" * 32,
        "ollama_base_url": "http://127.0.0.1:9",
        "rate_limit_enabled": False,
        "default_tool_timeout": 2,
        **overrides,
    }
    return Settings(_env_file=None, **values)  # pyright: ignore[reportCallIssue]


@asynccontextmanager
async def platform(data_dir: Path, **overrides: Any) -> AsyncIterator[Platform]:
    """Start everything, with accounts and a key."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(Upstream().running())
        tools = ToolsServer()
        await tools.start()
        stack.push_async_callback(tools.stop)
        app = create_app(settings(data_dir, upstream, tools, **overrides))
        url, state = await stack.enter_async_context(serving(app))
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        patience = aiohttp.ClientTimeout(total=20)  # a test that hangs is a test that fails
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=patience))
        usage = state["chat"]._parts.usage  # waiting for its timer would take a second each time
        background = frozenset(asyncio.all_tasks())
        running = Platform(url, data_dir, upstream, tools, http, app, usage, background)
        running.admin = await running.new_account("root", role="admin")
        running.person = await running.new_account("ada")
        running.stranger = await running.new_account("eve")
        running.program = await running.new_key(running.person)
        yield running
