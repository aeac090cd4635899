"""A scripted OpenAI-compatible server: every model name is a script of its own, so that tests can share one server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

Handler = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def chunk(delta: dict[str, Any] | None = None, *, finish: str | None = None, index: int = 0, **extra: Any) -> bytes:
    """One `chat.completion.chunk` as an SSE event."""
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish, **extra.pop("choice", {})}
    return event({**_HEAD, "choices": [choice], **extra})


def usage_chunk(usage: dict[str, Any] | None = None) -> bytes:
    return event({**_HEAD, "choices": [], "usage": usage or USAGE})


def event(body: object) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


_HEAD = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "up"}


def said(*pieces: str, finish: str = "stop") -> list[bytes]:
    """A whole good stream that says `pieces`."""
    return [*(chunk({"content": piece}) for piece in pieces), chunk(finish=finish), usage_chunk(), DONE]


@dataclass
class Script:
    """One model: what it answers, and what happened to it."""

    answer: Handler
    bodies: list[dict[str, Any]] = field(default_factory=list)
    title_bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    aborted: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    title: str = "A made-up title"

    @property
    def messages(self) -> list[tuple[str, Any]]:
        """Role and content of what the model was last sent."""
        return [(message["role"], message.get("content")) for message in self.bodies[-1]["messages"]]


class Upstream:
    """The server. `says`, `streams`, `answers` and `does` script a model; one nobody scripted is unknown (404)."""

    def __init__(self) -> None:
        self.base_url = ""
        self.scripts: dict[str, Script] = {}

    def does(self, model: str, answer: Handler) -> Script:
        return (
            self.scripts.setdefault(model, Script(answer)) if model not in self.scripts else self._redo(model, answer)
        )

    def says(self, model: str, *pieces: str) -> Script:
        """Answer with a text, whole or as a stream."""
        return self.answers(model, {"role": "assistant", "content": "".join(pieces)}, said(*pieces))

    def answers(
        self, model: str, message: dict[str, Any], frames: Sequence[bytes], *, finish: str = "stop", **extra: Any
    ) -> Script:
        """Answer with `message` when asked for a whole answer and with `frames` when asked for a stream."""
        choices = extra.pop("choices", [{"index": 0, "message": message, "finish_reason": finish}])
        whole = {"id": "chatcmpl-up", "object": "chat.completion", "created": 1, "model": "up", "choices": choices}

        async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
            if body.get("stream"):
                return await stream(request, frames)
            return web.json_response({**whole, "usage": USAGE, **extra})

        return self.does(model, answer)

    def streams(self, model: str, *frames: bytes, pause_s: float = 0.0, then: str = "end") -> Script:
        """Answer with these bytes, then `end`, `hang` (stay silent until the caller leaves) or `reset` (TCP RST)."""

        async def answer(request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
            return await stream(request, frames, pause_s=pause_s, then=then)

        return self.does(model, answer)

    def hangs(self, model: str) -> Script:
        """Take the request and never answer."""

        async def answer(_request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
            await asyncio.sleep(600)
            raise AssertionError

        return self.does(model, answer)

    def fails(self, model: str, status: int, body: object, **headers: str) -> Script:
        async def answer(_request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
            raw = body if isinstance(body, bytes) else orjson.dumps(body)
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(body=raw, status=status, content_type="application/json", headers=names)

        return self.does(model, answer)

    def _redo(self, model: str, answer: Handler) -> Script:
        self.scripts[model].answer = answer
        return self.scripts[model]

    async def _on_chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        script = self.scripts.get(body["model"])
        if script is None:
            error = {"message": f"no model {body['model']}", "code": "model_not_found"}
            return web.json_response({"error": error}, status=404)
        if _asks_for_title(body):
            script.title_bodies.append(body)
            return await stream(request, said(script.title))
        script.bodies.append(body)
        script.headers.append(dict(request.headers))
        try:
            return await script.answer(request, body)
        except (asyncio.CancelledError, ConnectionError):
            script.aborted += 1
            script.hung_up.set()
            raise

    async def _on_embeddings(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        script = self.scripts.get(body["model"])
        if script is None:
            error = {"message": f"no model {body['model']}", "code": "model_not_found"}
            return web.json_response({"error": error}, status=404)
        script.bodies.append(body)
        return await script.answer(request, body)

    async def _on_models(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": [{"id": name} for name in ("up", *self.scripts)]})

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Upstream"]:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._on_chat)
        app.router.add_post("/v1/embeddings", self._on_embeddings)
        app.router.add_get("/v1/models", self._on_models)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()


def _asks_for_title(body: dict[str, Any]) -> bool:
    return body["messages"][0]["role"] == "system" and "short title" in str(body["messages"][0]["content"])


async def stream(
    request: web.Request, frames: Sequence[bytes], *, pause_s: float = 0.0, then: str = "end"
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for frame in frames:
        await response.write(frame)
        await asyncio.sleep(pause_s)
    if then == "hang":
        await asyncio.sleep(600)
    if then == "reset":
        assert request.transport is not None
        request.transport.abort()
    return response
