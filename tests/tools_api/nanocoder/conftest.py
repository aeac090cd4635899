"""A relay whose inner end the test holds, as hostile code in a sandbox would; a model server behind it."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from shared.http_client import create_http_session
from tests.tools_api.nanocoder.model_server import ModelServer, model_server
from tools_api.nanocoder.frames import BROKEN, CANCEL, DATA, END, HEAD, REQUEST
from tools_api.nanocoder.relay import Relay, RelayLimits
from tools_api.nanocoder.upstream import Upstream

KEY = "sk-canary-0123456789-never-inside"
CHAT = ("POST", "/v1/chat/completions")
HEADER = struct.Struct("!BII")


@dataclass(frozen=True)
class Heard:
    """An answer as the inside hears it."""

    status: int
    media_type: str
    body: bytes
    whole: bool


@dataclass
class Inside:
    """The inner end of a relay."""

    relay: Relay
    serving: asyncio.Task[None]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    last: int = 0

    async def ask(self, method: str, path: str, body: bytes = b"") -> Heard:
        """Send a request and hear its whole answer."""
        await self.send(method, path, body)
        return await self.hear()

    async def chat(self, **fields: Any) -> Heard:
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True, **fields}
        return await self.ask(*CHAT, json.dumps(body).encode())

    async def send(self, method: str, path: str, body: bytes = b"", *, exchange: int | None = None) -> None:
        self.last = self.last + 1 if exchange is None else exchange
        await self.raw(REQUEST, self.last, f"{method}\0{path}\0".encode() + body)

    async def raw(self, kind: int, exchange: int, content: bytes, *, length: int | None = None) -> None:
        header = HEADER.pack(kind, exchange, len(content) if length is None else length)
        with contextlib.suppress(ConnectionError):
            self.writer.write(header + content)
            await self.writer.drain()

    async def cancel(self) -> None:
        await self.raw(CANCEL, self.last, b"")

    async def frame(self) -> tuple[int, int, bytes]:
        kind, exchange, length = HEADER.unpack(await self.reader.readexactly(HEADER.size))
        return kind, exchange, await self.reader.readexactly(length)

    async def hear(self) -> Heard:
        kind, _, head = await self.frame()
        assert kind == HEAD
        status, _, media_type = head.decode().partition("\0")
        body = b""
        while True:
            kind, _, content = await self.frame()
            if kind in {END, BROKEN}:
                return Heard(int(status), media_type, body, whole=kind == END)
            assert kind == DATA
            body += content


@pytest.fixture
async def model() -> AsyncGenerator[ModelServer]:
    async with model_server() as model:
        yield model


@asynccontextmanager
async def inside(model: ModelServer, limits: RelayLimits | None = None) -> AsyncGenerator[Inside]:
    """Serve a relay to `model` and hold its inner end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    async with create_http_session() as http:
        relay = Relay(Upstream(session=http, base_url=model.url, model="m", api_key=KEY), limits)
        serving = asyncio.create_task(relay.serve(ours))
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        try:
            yield Inside(relay, serving, reader, writer)
        finally:
            serving.cancel()
            await asyncio.wait({serving})
            writer.transport.abort()
