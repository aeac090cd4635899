"""A server-sent event stream as an ASGI response: first event before the headers, heartbeats, bounded writes.

Everything happens in one task, so that an agent's task groups and timeouts may span its events. A failure before the
first frame is raised to the error handlers and becomes a real HTTP status; a later one is a last `data:` frame.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.disconnect import while_connected
from shared.errors import ClientDisconnected, TwinportError, Unavailable
from shared.logging import get_logger

_log = get_logger("sse")

Frames = AsyncGenerator[bytes, None]
RenderFailure = Callable[[TwinportError], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Proxies commonly close a connection that is silent for 30 to 60 s. A reader that takes nothing for
    `write_timeout_s` is gone, whatever its socket says."""

    heartbeat_s: float = 15.0
    write_timeout_s: float = 60.0
    heartbeat: bytes = b": ping\n\n"


_PACE = Pace()


class ServerStops(Unavailable):
    """What is left of a call when the time to finish it is over. Only the server cancels a call's task."""

    def __init__(self) -> None:
        super().__init__("The server stops; ask again in a moment.", retry_after=5)


class EventStreamResponse(Response):
    """Send `frames` (whole SSE frames, as bytes) to the caller, cancelling them when the caller leaves.

    `headers` is called after the first frame is there, when the session and model are known. `render_failure` makes
    the frame for an error after the first frame; the stream then ends without a closing mark.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: Frames,
        *,
        headers: Callable[[], Mapping[str, str]],
        render_failure: RenderFailure,
        pace: Pace = _PACE,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._frames = frames
        self._make_headers = headers
        self._render_failure = render_failure
        self._pace = pace
        self._last_write = 0.0
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_connected(receive, self._pump(send))
        except ClientDisconnected:
            if not self._started:
                raise
        except asyncio.CancelledError:
            if self._started:
                raise
            raise ServerStops from None

    async def _pump(self, send: Send) -> None:
        async with aclosing(self._frames) as frames:
            first = await anext(frames)
            await self._start(send)
            heartbeat = asyncio.create_task(self._beat(send))
            try:
                await self._write(send, first)
                await self._forward(send, frames)
            finally:
                heartbeat.cancel()
        await self._write(send, b"", more=False)

    async def _forward(self, send: Send, frames: Frames) -> None:
        try:
            async for frame in frames:
                await self._write(send, frame)
        except ClientDisconnected:
            raise
        except TwinportError as error:
            await self._write(send, self._render_failure(error))
        except asyncio.CancelledError:  # the caller left, and nobody reads this, or the server stops: all is said
            last_words = self._write(send, self._render_failure(ServerStops()), timeout_s=1)
            await asyncio.create_task(last_words)  # before 3.11.4 timeouts fail in a task that was cancelled itself
        except Exception as error:  # noqa: BLE001 - the end of a stream: the headers are out, nobody else can say it
            _log.exception("stream failed", error=type(error).__name__)
            await self._write(send, self._render_failure(TwinportError("The server failed while answering.")))

    async def _start(self, send: Send) -> None:
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
            **self._make_headers(),
        }
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        self._started, self._last_write = True, asyncio.get_running_loop().time()

    async def _write(self, send: Send, frame: bytes, *, more: bool = True, timeout_s: float | None = None) -> None:
        """Send a frame. Raises `ClientDisconnected` if nobody takes it."""
        try:
            async with asyncio.timeout(timeout_s or self._pace.write_timeout_s):
                await send({"type": "http.response.body", "body": frame, "more_body": more})
        except TimeoutError:
            raise ClientDisconnected("The caller reads nothing.") from None
        self._last_write = asyncio.get_running_loop().time()

    async def _beat(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._last_write + self._pace.heartbeat_s - loop.time())
            if loop.time() - self._last_write >= self._pace.heartbeat_s:
                with suppress(ClientDisconnected):  # the pump's own write says so
                    await self._write(send, self._pace.heartbeat)
