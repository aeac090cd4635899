"""A small server that speaks the part of our HTTP API that commands use, on a real socket in its own thread."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from aiohttp import web

from tests.cli.rag_server import FakeRag
from tests.main_api.db.fixtures import migrated_file

__all__ = ["api", "logging_as_before", "migrated_file"]

PASSWORD = "correct horse 1"
_OURS = ("cli", "main_api", "shared", "tools_api")


class FakeApi:
    """Answers like the main API. `chunks` is what a question is answered with; `seen` are the bodies that came."""

    def __init__(self) -> None:
        self.url = ""
        self.chunks: list[dict[str, Any]] = []
        self.has_health = False
        self.endless = False
        self.cut_short = False
        self.valid_tokens = {"key-1"}
        self.refresh_token = "refresh-1"
        self.seen: list[dict[str, Any]] = []
        self.disconnects = 0
        self.rag = FakeRag()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._authenticate])
        app.router.add_get("/health", self._health)
        app.router.add_post("/api/auth/login", self._log_in)
        app.router.add_post("/api/auth/refresh", self._refresh)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/api/chat/sessions", self._sessions)
        app.router.add_get("/api/chat/history/{id}", self._history)
        self.rag.routes(app)
        return app

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.path.startswith(("/api/auth/", "/health")) or token in self.valid_tokens:
            return await handler(request)
        return web.json_response({"error": {"message": "This key or token is not valid."}}, status=401)

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "OK"}, status=200 if self.has_health else 404)

    async def _log_in(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["password"] != PASSWORD:
            return web.json_response({"success": False, "message": "Wrong name or password."}, status=401)
        return self._tokens()

    async def _refresh(self, request: web.Request) -> web.Response:
        if (await request.json())["refresh_token"] != self.refresh_token:
            return web.json_response({"error": {"message": "Log in again."}}, status=401)
        return self._tokens()

    def _tokens(self) -> web.Response:
        access = f"access-{len(self.valid_tokens)}"
        self.valid_tokens.add(access)
        self.refresh_token += "+"
        return web.json_response({"access_token": access, "refresh_token": self.refresh_token, "token_type": "bearer"})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(await request.json())
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": ping\n\n")
        try:
            for chunk in self.chunks:
                await response.write(b"id: 1\ndata: " + json.dumps(chunk).encode() + b"\n\n")
            while self.endless:
                await response.write(b": ping\n\n")
                await asyncio.sleep(0.02)
            if not self.cut_short:
                await response.write(b"data: [DONE]\n\n")
        except (ConnectionError, asyncio.CancelledError):
            self.disconnects += 1
            raise
        return response

    async def _sessions(self, _request: web.Request) -> web.Response:
        sessions = [
            {"id": "ses_aa11", "title": "Sums", "message_count": 4},
            {"id": "ses_bb22", "title": None, "message_count": 2},
        ]
        return web.json_response({"sessions": sessions, "total": 2, "limit": 20, "offset": 0})

    async def _history(self, request: web.Request) -> web.Response:
        if request.match_info["id"] != "ses_aa11":
            return web.json_response({"error": {"message": "There is no such session."}}, status=404)
        messages = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4."}]
        return web.json_response({"session_id": "ses_aa11", "messages": messages})


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(fake.app(), handler_cancellation=True, shutdown_timeout=0.2)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield fake
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what commands set up for a process that ends with them; this one goes on, with other tests."""
    level, handlers = logging.root.level, logging.root.handlers[:]
    yield
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers
    structlog.reset_defaults()
    for module in [module for name, module in sys.modules.items() if name.startswith(_OURS)]:
        for value in vars(module).values():
            if isinstance(value, structlog._config.BoundLoggerLazyProxy):
                vars(value).pop("bind", None)  # where a logger that was used keeps its set-up
