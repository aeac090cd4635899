"""A local server that speaks Ollama's documented wire format and does what a test tells it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

MODELS = {
    "qwen2.5:14b": {"family": "qwen2", "capabilities": ["completion", "tools"], "context": 32768},
    "qwen3:4b": {"family": "qwen3", "capabilities": ["completion", "tools", "thinking"], "context": 4096},
    "gpt-oss:20b": {"family": "gptoss", "capabilities": ["completion", "tools", "thinking"], "context": 131072},
    "gemma3:4b": {"family": "gemma3", "capabilities": ["completion", "vision"], "context": 131072},
    "nomic-embed-text:latest": {"family": "nomic-bert", "capabilities": ["embedding"], "context": 2048},
}


def line(**fields: Any) -> bytes:
    """One NDJSON object of `/api/chat`."""
    return orjson.dumps({"model": "m", "created_at": "2025-10-26T17:21:21.196249Z", "done": False} | fields) + b"\n"


def text(content: str, **fields: Any) -> bytes:
    return line(message={"role": "assistant", "content": content}, **fields)


def end(reason: str = "stop", **fields: Any) -> bytes:
    counts = {"prompt_eval_count": 11, "eval_count": 7, "total_duration": 5, "eval_duration": 3}
    return line(
        message={"role": "assistant", "content": ""}, **(counts | {"done": True, "done_reason": reason} | fields)
    )


class OllamaServer:
    """`script` is what `/api/chat` and `/api/pull` send: bytes, or seconds to wait; `status` their status."""

    def __init__(self) -> None:
        self.script: list[bytes | float] = [text("Hello"), text(" there"), end()]
        self.status = 200
        self.headers: dict[str, str] = {}
        self.error_body: bytes = b'{"error": "boom"}'
        self.cut = False
        self.version = "0.13.5"
        self.requests: list[tuple[str, Any]] = []
        self.aborted = asyncio.Event()
        self.url = ""

    @property
    def chat_body(self) -> Any:
        return next(body for path, body in reversed(self.requests) if path == "/api/chat")

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["OllamaServer"]:
        app = web.Application()
        app.router.add_route("*", "/api/{verb}", self._answer)
        server = TestServer(app, host="127.0.0.1")
        await server.start_server()
        self.url = str(server.make_url("")).rstrip("/")
        try:
            yield self
        finally:
            await server.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read() or b"null")
        self.requests.append((request.path, body))
        match request.match_info["verb"]:
            case "tags":
                return web.json_response({"models": [self._tag(name) for name in MODELS]})
            case "ps":
                return web.json_response({"models": [{"name": "qwen3:4b", "model": "qwen3:4b"}]})
            case "version":
                return web.json_response({"version": self.version})
            case "show":
                return self._show(body["model"])
            case _:
                return await self._stream(request)

    def _tag(self, name: str) -> dict[str, Any]:
        details = {"family": MODELS[name]["family"], "parameter_size": "4B", "quantization_level": "Q4_K_M"}
        return {
            "name": name,
            "model": name,
            "size": 123,
            "modified_at": "2025-05-04T17:37:44.706015396-07:00",
            "details": details,
        }

    def _show(self, name: str) -> web.Response:
        if name not in MODELS:
            return web.json_response({"error": f"model '{name}' not found"}, status=404)
        family, context = MODELS[name]["family"], MODELS[name]["context"]
        return web.json_response(
            {
                "details": {"family": family},
                "model_info": {"general.architecture": family, f"{family}.context_length": context},
                "capabilities": MODELS[name]["capabilities"],
            }
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self.status != 200:
            return web.Response(status=self.status, body=self.error_body, headers=self.headers)
        response = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            for step in self.script:
                if isinstance(step, bytes):
                    await response.write(step)
                else:
                    await asyncio.sleep(step)
        except (asyncio.CancelledError, ConnectionError):
            self.aborted.set()
            raise
        if self.cut and request.transport:
            request.transport.abort()
        return response
