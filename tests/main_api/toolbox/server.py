"""A real local server that speaks the contract, or misbehaves as a test wants it to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from main_api.toolbox.client import ToolsClient
from shared.http_client import create_http_session

TOOLS = {
    "object": "list",
    "data": [
        {"name": "calculator", "description": "Compute.", "parameters": {"type": "object"}, "new_field": 1},
        {
            "name": "python_coder",
            "description": "Run.",
            "parameters": {"type": "object"},
            "aliases": ["python_repl"],
        },
    ],
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ToolsServer:
    """Counts and keeps the requests; its fields `on_…` decide the answers."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[dict[str, object]] = []
        self.listed = 0
        self.hung_up = asyncio.Event()
        self.arrived = asyncio.Event()
        self.on_invoke: Handler = self._answer
        self.on_list: Handler = self._list
        self.on_artifact: Handler = self._missing
        self.on_rag: Handler = self._missing
        self.on_embeddings: Handler = self._missing
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=2**40)
        app.router.add_get("/v1/tools", self._on_list)
        app.router.add_post("/v1/tools/{name}/invoke", self._on_invoke)
        app.router.add_get("/v1/artifacts/{id}", self._on_artifact)
        app.router.add_route("*", "/v1/rag/{rest:.*}", self._on_rag)
        app.router.add_post("/v1/embeddings", self._on_embeddings)
        app.router.add_get("/health", self._health)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def hang(self, _request: web.Request) -> web.StreamResponse:
        self.arrived.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.hung_up.set()
            raise
        raise AssertionError

    async def _on_list(self, request: web.Request) -> web.StreamResponse:
        self.listed += 1
        self.requests.append(request)
        return await self.on_list(request)

    async def _on_invoke(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.json())
        return await self.on_invoke(request)

    async def _on_artifact(self, request: web.Request) -> web.StreamResponse:
        return await self.on_artifact(request)

    async def _on_rag(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.on_rag(request)

    async def _on_embeddings(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.json())
        return await self.on_embeddings(request)

    async def _list(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(TOOLS)

    async def _answer(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"ok": True, "content": "84", "receipt": {"wall_s": 0.1}, "future": True})

    async def _missing(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no"}}, status=404)

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "healthy", "tools": {"calculator": "ok"}})


@asynccontextmanager
async def running(*, timeout_s: float = 5.0, **options: float) -> AsyncIterator[tuple[ToolsServer, ToolsClient]]:
    server = ToolsServer()
    await server.start()
    session = create_http_session()
    try:
        yield (
            server,
            ToolsClient(base_url=server.url + "/", api_key="k" * 32, session=session, timeout_s=timeout_s, **options),
        )
    finally:
        await session.close()
        await server.stop()
