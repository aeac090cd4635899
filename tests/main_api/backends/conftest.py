"""What the tests of backends share: a pooled session, and a local upstream that says exactly what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from main_api.backends.openai_compatible import OpenAICompatibleBackend, OpenAICompatibleOptions
from shared.http_client import create_http_session

BUNDLED = Path(__file__).parents[3] / "main_api" / "backends" / "bundled" / "twinport-tiny.gguf"
GREETING = "Hello! How can I help you?"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Upstream:
    """A real HTTP server whose `/v1/chat/completions` and `/v1/models` do what `chat` and `models` say."""

    base_url: str = ""
    chat: Handler | None = None
    models: Handler | None = None
    bodies: list[dict[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    aborted: asyncio.Event = field(default_factory=asyncio.Event)

    async def on_chat(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        self.headers.append(dict(request.headers))
        assert self.chat is not None
        return await self.chat(request)

    async def on_models(self, request: web.Request) -> web.StreamResponse:
        assert self.models is not None
        return await self.models(request)

    def answers(self, body: bytes, *, status: int = 200, content_type: str = "", **headers: str) -> None:
        """Answer every chat with `body`; a stream unless the type says otherwise."""
        kind = content_type or ("text/event-stream" if status == 200 else "application/json")

        async def chat(_request: web.Request) -> web.Response:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(body=body, status=status, headers={"Content-Type": kind, **names})

        self.chat = chat

    def dribbles(self, *pieces: bytes, pause_s: float = 0.0, then: Callable[[web.Request], None] | None = None) -> None:
        """Answer with a stream in these pieces, and record if the caller hangs up before the end."""

        async def chat(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            try:
                for piece in pieces:
                    await response.write(piece)
                    await asyncio.sleep(pause_s)
            except (ConnectionError, asyncio.CancelledError):
                self.aborted.set()
                raise
            if then is not None:
                then(request)
            return response

        self.chat = chat


def reset_connection(request: web.Request) -> None:
    """Break the connection off with a TCP reset."""
    assert request.transport is not None
    request.transport.abort()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with create_http_session() as session:
        yield session


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", upstream.on_chat)
    app.router.add_get("/v1/models", upstream.on_models)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    host, port = runner.addresses[0][:2]
    upstream.base_url = f"http://{host}:{port}/v1"
    yield upstream
    await runner.cleanup()


@pytest.fixture
def backend(upstream: Upstream, session: aiohttp.ClientSession) -> OpenAICompatibleBackend:
    options = OpenAICompatibleOptions(silence_timeout_s=2.0, connect_timeout_s=5.0)
    return OpenAICompatibleBackend(
        name="acme", base_url=upstream.base_url, api_key="configured-key", session=session, options=options
    )
