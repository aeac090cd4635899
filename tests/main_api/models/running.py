"""A real uvicorn server on a free loopback port, in the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn


@dataclass(frozen=True)
class Running:
    url: str

    @classmethod
    @asynccontextmanager
    async def serve(cls, config: uvicorn.Config) -> AsyncGenerator["Running"]:
        """Serve until the block ends."""
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(10):
                while not server.started:
                    await asyncio.sleep(0.01)
            yield cls(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            await task
            listener.close()
