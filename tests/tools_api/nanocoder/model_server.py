"""A small server that speaks OpenAI's protocol and plays the model: what it is to say is given to it beforehand."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Say:
    """The model says a text, or calls a tool of the agent's."""

    text: str = ""
    tool: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass
class ModelServer:
    """Answers with `script`, turn by turn; the last one again and again. `requests` are the bodies that came."""

    url: str = ""
    script: Sequence[Say] = (Say("Hello"),)
    status: int = 200
    error: bytes = b""
    hangs: bool = False
    breaks: bool = False
    location: str | None = None
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    paths: list[str] = field(default_factory=list[str])
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client went while it was waiting for an answer."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(f"{request.method} {request.path}")
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.requests.append(json.loads(await request.read() or b"{}"))
        if self.location:
            raise web.HTTPTemporaryRedirect(self.location)
        if self.status >= 400:
            return web.Response(status=self.status, body=self.error, content_type="application/json")
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "x-secret": "of the server"})
        await response.prepare(request)
        if self.hangs:
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        for chunk in self._chunks(self.script[min(len(self.requests), len(self.script)) - 1]):
            await response.write(f"data: {chunk}\n\n".encode())
            if self.breaks:
                assert request.transport
                request.transport.abort()
                return response
        return response

    def _chunks(self, said: Say) -> list[str]:
        delta: dict[str, Any] = {"role": "assistant", "content": said.text}
        if said.tool:
            called = {"name": said.tool, "arguments": json.dumps(said.arguments)}
            delta["tool_calls"] = [{"index": 0, "id": f"c{len(self.requests)}", "type": "function", "function": called}]
        reason = "tool_calls" if said.tool else "stop"
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        base = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        first = {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        last = {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": usage}
        return [json.dumps(first), json.dumps(last), "[DONE]"]


@asynccontextmanager
async def model_server() -> AsyncGenerator[ModelServer]:
    """Start one on loopback."""
    model = ModelServer()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", model.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    model.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield model
    finally:
        await runner.cleanup()
