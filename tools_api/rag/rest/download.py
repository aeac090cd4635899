"""A file as an answer, in pieces, at the pace of who reads it; what makes it is closed when they leave.

A failure before the first piece is raised to the error handlers and becomes a status. A later one breaks the connection
off before its end, so that nobody takes half a file for a whole one.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.disconnect import while_connected
from shared.errors import ClientDisconnected
from tools_api.artifacts.names import attachment

_WRITE_TIMEOUT_S = 60.0


class Download(Response):
    """Send `pieces` as a file to save. `size` is in bytes, None if nobody knows it yet."""

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], *, name: str, media_type: str, size: int | None = None
    ) -> None:
        self.status_code = 200
        self.background = None
        self._pieces = pieces
        self._sent_any = False
        self._head = {
            "content-type": media_type,
            "content-disposition": attachment(name),
            "x-content-type-options": "nosniff",
            "content-security-policy": "sandbox; default-src 'none'",
            "cache-control": "private, no-store",
            **({} if size is None else {"content-length": str(size)}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_connected(receive, self._pump(send))
        except ClientDisconnected:
            if not self._sent_any:
                raise

    async def _pump(self, send: Send) -> None:
        async with aclosing(self._pieces) as pieces:
            first = await anext(pieces, b"")
            await self._start(send)
            await self._write(send, first)
            async for piece in pieces:
                await self._write(send, piece)
        await self._write(send, b"", more=False)

    async def _start(self, send: Send) -> None:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._head.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        self._sent_any = True

    async def _write(self, send: Send, piece: bytes, *, more: bool = True) -> None:
        """Send a piece. Raises `ClientDisconnected` if nobody takes it."""
        try:
            async with asyncio.timeout(_WRITE_TIMEOUT_S):
                await send({"type": "http.response.body", "body": piece, "more_body": more})
        except TimeoutError:
            raise ClientDisconnected("The caller reads nothing.") from None
