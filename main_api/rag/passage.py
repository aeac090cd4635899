"""Bodies on their way through this process, in both directions, in pieces: never more than a piece is in memory.

A caller that reads slowly slows the tools API down, and the other way round; one that leaves ends the call there.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress

import aiohttp
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from shared.disconnect import while_connected
from shared.errors import ClientDisconnected, UpstreamFailed
from shared.logging import get_logger

_log = get_logger("rag")

_PIECE = 65_536
_WRITE_TIMEOUT_S = 120.0
_LARGEST_FRAME = 4 * 2**20


class IncomingBody:
    """The body of a request, to be iterated once or skipped. Afterwards `receive` tells when the caller leaves."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read = asyncio.Event()
        self.caller_left = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises `ClientDisconnected` if the caller leaves before its end."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.caller_left = True
                raise ClientDisconnected("The caller closed the connection while sending.")
            more = message.get("more_body", False)
            if piece := message.get("body", b""):
                yield piece
        self._read.set()

    def skip(self) -> None:
        """Say that nobody reads the body."""
        self._read.set()

    async def receive(self) -> Message:
        """Receive what comes after the body: nobody else may wait for a message while it is being read."""
        await self._read.wait()
        return await self._receive()


class PassedOn(Response):
    """An open answer of the tools API, sent on piece by piece. `stack` closes it."""

    def __init__(self, upstream: aiohttp.ClientResponse, stack: AsyncExitStack, headers: Mapping[str, str]) -> None:
        self.status_code = upstream.status
        self.background = None
        self._upstream = upstream
        self._stack = stack
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            with suppress(ClientDisconnected):  # nobody is left to be told
                await while_connected(receive, self._pump(send))

    async def _pump(self, send: Send) -> None:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": self.status_code, "headers": raw})
        try:
            async for piece in self._upstream.content.iter_chunked(_PIECE):
                await _write(send, piece, more=True)
        except (aiohttp.ClientError, OSError) as error:
            _log.warning("tools_api_broke_off", error=type(error).__name__)
            raise ConnectionAbortedError from None  # the connection ends without the end of the body: it is not whole
        await _write(send, b"", more=False)


async def frames(upstream: aiohttp.ClientResponse, stack: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    """Yield the server-sent events of an answer, whole ones. Raises `UpstreamFailed` if it breaks off."""
    pending, begun = b"", False
    async with stack:
        try:
            async for piece in upstream.content.iter_any():
                *whole, pending = (pending + piece).split(b"\n\n")
                for frame in whole:
                    begun = True
                    yield frame + b"\n\n"
                if len(pending) > _LARGEST_FRAME:
                    raise UpstreamFailed("The tools API sent an event that is too large.")
        except (aiohttp.ClientError, OSError, TimeoutError):
            raise UpstreamFailed("The tools API broke off; the job goes on, ask for its events again.") from None
        if not begun:
            raise UpstreamFailed("The tools API sent no events.")


async def _write(send: Send, body: bytes, *, more: bool) -> None:
    try:
        async with asyncio.timeout(_WRITE_TIMEOUT_S):
            await send({"type": "http.response.body", "body": body, "more_body": more})
    except TimeoutError:
        raise ClientDisconnected("The caller reads nothing.") from None
