"""One run's way to its model: takes requests from inside a sandbox, lets a few kinds through, and hands answers back.

What comes from inside is hostile and only ever costs the run itself: a frame that is none ends the relay, a request
that is not allowed gets an error to read, and the number of requests, the number at once, their size, and the bytes
that come back are bounded. Time is bounded by the run: who serves a run cancels its relay when it is over.
"""

import asyncio
import socket
from dataclasses import dataclass

from shared.logging import get_logger
from tools_api.nanocoder.chat_request import RequestRefused, rebuilt
from tools_api.nanocoder.frames import (
    BROKEN,
    DATA,
    END,
    HEAD,
    MAX_PIECE,
    Cancel,
    Garbage,
    Request,
    encode_frame,
    read_frame,
)
from tools_api.nanocoder.upstream import Upstream, UpstreamBroke, error_body, models_list

_log = get_logger("nanocoder")

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLimits:
    """What one run may ask of its model. Bytes and counts."""

    requests: int = 200
    at_once: int = 4
    request_bytes: int = 2 * MIB
    sent_bytes: int = 128 * MIB
    """All requests together: a conversation is sent anew with every turn."""
    received_bytes: int = 32 * MIB
    """All answers together."""


class Relay:
    """The way of one run; `requests` counts what went out, `problem` is the last thing that went wrong there."""

    def __init__(self, upstream: Upstream, limits: RelayLimits | None = None) -> None:
        self.requests = 0
        self.problem: str | None = None
        self._upstream = upstream
        self._limits = limits or RelayLimits()
        self._sent = 0
        self._received = 0
        self._open: dict[int, asyncio.Task[None]] = {}

    async def serve(self, channel: socket.socket) -> None:
        """Answer what comes through our end of the channel, until it ends, brings garbage, or we are cancelled.

        The channel is closed at the end, and so is every request that is under way.
        """
        reader, writer = await asyncio.open_unix_connection(sock=channel)
        try:
            while frame := await read_frame(reader, max_request=self._limits.request_bytes):
                await self._take(frame, writer)
        except Garbage as error:
            _log.warning("relay_garbage", problem=str(error))
        except ConnectionError:
            pass  # the sandbox has ended
        finally:
            await self._cancel_all()
            writer.transport.abort()  # not close, which waits until someone inside has read the rest

    async def _take(self, frame: Request | Cancel, writer: asyncio.StreamWriter) -> None:
        if isinstance(frame, Cancel):
            if task := self._open.get(frame.exchange):
                task.cancel()
            return
        if frame.exchange in self._open:
            raise Garbage("the number of an exchange is taken")
        if (refusal := self._refusal(frame)) is not None:
            await _answer(writer, frame.exchange, *refusal)  # awaited here: who does not read is not read from
            return
        self.requests += 1
        self._sent += len(frame.body)
        task = asyncio.create_task(self._forward(frame, writer))
        self._open[frame.exchange] = task
        task.add_done_callback(lambda _: self._open.pop(frame.exchange, None))

    def _refusal(self, request: Request) -> tuple[int, bytes] | None:
        """Answer what needs no model, and what gets none: status and body."""
        match request.method, request.path:
            case "GET", "/v1/models":
                return 200, models_list(self._upstream.model)
            case "POST", "/v1/chat/completions":
                pass
            case _, "/v1/models" | "/v1/chat/completions":
                return 405, error_body("This method is not allowed here.", "invalid_request_error")
            case _:
                return 404, error_body("Here are only /v1/chat/completions and /v1/models.", "invalid_request_error")
        limits = self._limits
        if self.requests >= limits.requests:
            return self._spent(f"This run has asked its model {limits.requests} times, which is the most.")
        if self._sent + len(request.body) > limits.sent_bytes or self._received > limits.received_bytes:
            return self._spent("This run has exchanged as much with its model as it may.")
        if len(self._open) >= limits.at_once:
            return 429, error_body(f"At most {limits.at_once} requests at once.", "rate_limit_error")
        return None

    def _spent(self, message: str) -> tuple[int, bytes]:
        self.problem = message
        return 403, error_body(message, "permission_error")  # not 429, which clients try again

    async def _forward(self, request: Request, writer: asyncio.StreamWriter) -> None:
        try:
            body = rebuilt(request.body, model=self._upstream.model)
            await self._relay(request.exchange, body, writer)
        except RequestRefused as error:
            await _answer(writer, request.exchange, 400, error_body(str(error), "invalid_request_error"))
        except UpstreamBroke as error:
            self.problem = str(error)
            await _answer(writer, request.exchange, error.status, error_body(str(error), "server_error"))
        except ConnectionError:
            pass  # the sandbox has ended; `serve` sees it too

    async def _relay(self, exchange: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        async with self._upstream.chat(body) as answer:
            if answer.status >= 400:
                self.problem = f"The model's server answered {answer.status}."
            await _send(writer, HEAD, exchange, _head(answer.status, answer.media_type))
            try:
                async for piece in answer.pieces:
                    self._count(piece)
                    for start in range(0, len(piece), MAX_PIECE):
                        await _send(writer, DATA, exchange, piece[start : start + MAX_PIECE])
            except UpstreamBroke as error:
                self.problem = str(error)
                await _send(writer, BROKEN, exchange)
                return
            await _send(writer, END, exchange)

    def _count(self, piece: bytes) -> None:
        self._received += len(piece)
        if self._received > self._limits.received_bytes:
            raise UpstreamBroke("The model's answers are longer in sum than a run may take.")

    async def _cancel_all(self) -> None:
        tasks = list(self._open.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _head(status: int, media_type: str) -> bytes:
    return f"{status}\0{media_type}".encode()


async def _answer(writer: asyncio.StreamWriter, exchange: int, status: int, body: bytes) -> None:
    await _send(writer, HEAD, exchange, _head(status, "application/json"))
    await _send(writer, DATA, exchange, body)
    await _send(writer, END, exchange)


async def _send(writer: asyncio.StreamWriter, kind: int, exchange: int, content: bytes = b"") -> None:
    writer.write(encode_frame(kind, exchange, content))
    await writer.drain()
