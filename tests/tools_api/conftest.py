"""The tools API in the test's own event loop, on a real port."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn

from config import Settings
from shared.serve import bind
from tests.main_api.db.fixtures import postgres_server, postgres_url
from tests.tools_api.db.fixtures import any_catalogue, catalogue, migrated_catalogue, postgres_catalogue
from tools_api.app import Toolset, create_app
from tools_api.embeddings.protocol import CountingEncoder
from tools_api.invoke.tool import Tool
from tools_api.rag.retrieval import Retrieval
from tools_api.sandbox import SandboxReport

__all__ = [
    "any_catalogue",
    "catalogue",
    "migrated_catalogue",
    "postgres_catalogue",
    "postgres_server",
    "postgres_url",
]

KEY = "k" * 40
OTHER_KEY = "o" * 40
NO_SANDBOX = SandboxReport(available=False, level=None, reason="these tools need none")


@dataclass(frozen=True)
class Served:
    """A running tools API and a client that has the main key."""

    url: str
    client: aiohttp.ClientSession
    data_dir: Path

    async def invoke(self, tool: str, **body: Any) -> tuple[int, Any]:
        async with self.client.post(f"{self.url}/v1/tools/{tool}/invoke", json=body) as answer:
            return answer.status, await answer.json()


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    @asynccontextmanager
    async def serving(
        *tools: Tool,
        slots: Mapping[str, int] | None = None,
        rag: Retrieval | None = None,
        encoder: CountingEncoder | None = None,
        **overrides: Any,
    ) -> AsyncGenerator[Served]:
        @asynccontextmanager
        async def given_tools(_settings: Settings) -> AsyncIterator[Toolset]:
            yield Toolset(tools=tools, sandbox_report=lambda: NO_SANDBOX, slots=slots or {}, rag=rag, encoder=encoder)

        settings = Settings(
            _env_file=None,  # pyright: ignore[reportCallIssue]
            data_dir=tmp_path,
            tools_api_key=KEY,  # pyright: ignore[reportArgumentType]
            tools_service_keys=f"other:{OTHER_KEY}",  # pyright: ignore[reportArgumentType]
            **overrides,
        )
        listener = bind("127.0.0.1", 0, variable="TOOLS_PORT")
        config = uvicorn.Config(create_app(settings, tools=given_tools), log_config=None, lifespan="on", ws="none")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                assert not running.done(), "the server did not start"
                await asyncio.sleep(0.005)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as client:
                yield Served(url, client, tmp_path)
        finally:
            server.should_exit = True
            await running

    return serving
