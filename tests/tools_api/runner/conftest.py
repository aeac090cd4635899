"""A real runner on a real port with a real sandbox behind it, and the level that talks to it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
import uvicorn

from config import Settings
from shared.serve import bind
from tests.tools_api.sandbox.conftest import need_bubblewrap
from tools_api.python_coder.runtime import SCRIPTS
from tools_api.runner.app import create_runner
from tools_api.sandbox import Limits, RemoteOptions, Sandbox, SandboxOptions

KEY = "r" * 40
LIMITS = Limits(wall_s=20, cpu_s=20, memory_bytes=512 << 20)


def runner_settings(**overrides: Any) -> Settings:
    return Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue]
        **{"sandbox_remote_key": KEY, "sandbox_memory_mb": 512, "default_tool_timeout": 20, **overrides},
    )


@asynccontextmanager
async def serving(**overrides: Any) -> AsyncGenerator[str]:
    """Serve a runner; yield its URL."""
    listener = bind("127.0.0.1", 0, variable="RUNNER_PORT")
    config = uvicorn.Config(create_runner(runner_settings(**overrides)), log_config=None, lifespan="on", ws="none")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            assert not running.done(), "the runner did not start"
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def remote_sandbox(url: str | None, *, key: str = KEY, limits: Limits = LIMITS) -> AsyncGenerator[Sandbox]:
    """Start a sandbox whose only level is that runner."""
    remote = RemoteOptions(url=url, key=key, scripts=(SCRIPTS,)) if url else None
    sandbox = Sandbox(SandboxOptions(levels=("remote",), limits=limits, remote=remote))
    await sandbox.start()
    try:
        yield sandbox
    finally:
        await sandbox.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def runner() -> AsyncGenerator[str]:
    need_bubblewrap()
    async with serving() as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def remote(runner: str) -> AsyncGenerator[Sandbox]:
    async with remote_sandbox(runner) as sandbox:
        assert sandbox.report.available, sandbox.report
        yield sandbox


Peer = Callable[[bytes], AbstractAsyncContextManager[str]]


@pytest.fixture
def peer() -> Peer:
    """Something on a port that answers every request with the same bytes, and then says nothing more."""

    @asynccontextmanager
    async def answering(answer: bytes) -> AsyncGenerator[str]:
        connections: set[asyncio.StreamWriter] = set()

        async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.add(writer)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await asyncio.gather(writer.drain(), return_exceptions=True)

        server = await asyncio.start_server(answer_all, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for writer in connections:
                writer.close()

    return answering
