"""Pure ASGI middleware that both processes put around their application.

`RequestContext` binds the request id, counts, times and logs; `BodyLimit` refuses bodies that are too large before
anything parses them. Neither touches the stream of an answer: a chunk goes out when it is written.
"""

import asyncio
import contextlib
import functools
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson
from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import InvalidRequest, PayloadTooLarge, TwinportError
from shared.logging import get_logger
from shared.request_id import HEADER, bind_request_id

_REQUESTS = Counter("twinport_http_requests_total", "Requests answered", ["method", "route", "status"])
_IN_FLIGHT = Gauge("twinport_http_requests_in_flight", "Requests being answered now")
_LATENCY = Histogram(
    "twinport_http_request_seconds",
    "Seconds from the arrival of a request to the end of its answer",
    ["route"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60),
)

_SMALL = 65_536
_LAST_WORDS_S = 5.0
"""How long cancelled requests may take to end when the server stops."""

RenderError = Callable[[str, TwinportError], bytes]
"""Turn a path and an error into the body that the path's dialect documents."""


def _header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return None


class RequestContext:
    """Give every request an id, and every answer an `x-request-id`, a log line and its metrics.

    The application hears of the server's end when the last request has ended: those that the server cancels still
    have something to write down and to say, and need the parts that the end of the lifespan closes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open = 0
        self._log = get_logger("access").bind()  # a lazy logger would be bound again for every line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, self._late(receive) if scope["type"] == "lifespan" else receive, send)
            return
        request_id = bind_request_id(_header(scope, HEADER.encode()))
        started = time.perf_counter()
        status = 499  # stays if the client left before an answer began

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER.encode(), request_id.encode())]
            await send(message)

        _IN_FLIGHT.inc()
        self._open += 1
        try:
            await self._app(scope, receive, send_with_id)
        except ConnectionError:
            raise
        except Exception:
            status = 500 if status == 499 else status  # outside of us, a bug becomes an answer
            raise
        finally:
            self._open -= 1
            _IN_FLIGHT.dec()
            self._record(scope, status, time.perf_counter() - started)

    def _late(self, receive: Receive) -> Receive:
        async def receive_late() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_WORDS_S):
                        while self._open:  # noqa: ASYNC110 - asked once; an event would cost every request
                            await asyncio.sleep(0.01)
            return message

        return receive_late

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")  # the template: paths would be endless labels
        count, latency = _metrics_of(scope["method"], route, status)
        count.inc()
        latency.observe(seconds)
        self._log.info(
            "request", method=scope["method"], path=scope["path"], status=status, ms=round(seconds * 1000, 2)
        )


@functools.cache
def _metrics_of(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Look the labelled metrics up once: that costs more than counting. As many as there are labels."""
    return _REQUESTS.labels(method, route, status), _LATENCY.labels(route)


@dataclass(frozen=True, slots=True)
class PathLimit:
    """The largest body of paths that take files. `pattern` matches the whole path, `setting` is what the refused are
    told of."""

    pattern: re.Pattern[str]
    limit: int
    setting: str


class _BodyExceeded(Exception):
    """Ends whatever reads the body; never leaves `BodyLimit`."""


class _CountedRequest:
    """One request whose body is counted as it comes. Once it is too large, no answer but our own may begin:
    frameworks turn an exception of their `receive` into an answer (FastAPI's is a 400 about parsing)."""

    def __init__(self, receive: Receive, send: Send, *, limit: int) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._received = 0
        self.answering = False

    @property
    def exceeded(self) -> bool:
        return self._received > self._limit

    async def receive(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self.exceeded:
            raise _BodyExceeded
        return message

    async def send(self, message: Message) -> None:
        if self.exceeded and not self.answering:
            return
        self.answering = True
        await self._send(message)


class BodyLimit:
    """Refuse a body over `limit` bytes with 413, by declared length or as it arrives, and a compressed one with 400.

    Paths that begin with one of `small` take 64 KiB at most: theirs are parsed before anybody asks who sends them.
    Those that match one of `others` have a limit of their own.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: int,
        render_error: RenderError,
        small: tuple[str, ...] = (),
        others: Sequence[PathLimit] = (),
    ) -> None:
        self._app = app
        self._limit = limit
        self._small = small
        self._others = others
        self._render_error = render_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, setting = self._limit_of(scope["path"])
        if refusal := self._refusal(scope, limit, setting):
            await self._refuse(scope, send, refusal)
            return
        request = _CountedRequest(receive, send, limit=limit)
        with contextlib.suppress(_BodyExceeded):
            await self._app(scope, request.receive, request.send)
        if request.exceeded and not request.answering:
            await self._refuse(scope, send, _too_large(limit, setting))

    def _limit_of(self, path: str) -> tuple[int, str]:
        """Return how much a path takes, and the setting that says so."""
        if path.startswith(self._small):
            return min(_SMALL, self._limit), ""
        for other in self._others:
            if other.pattern.fullmatch(path):
                return other.limit, other.setting
        return self._limit, "MAX_BODY_BYTES"

    def _refusal(self, scope: Scope, limit: int, setting: str) -> TwinportError | None:
        declared = _header(scope, b"content-length")
        if declared is not None and not (declared.isascii() and declared.isdigit()):
            return InvalidRequest("The header Content-Length is no number.")
        if declared is not None and (len(declared) > 18 or int(declared) > limit):
            return _too_large(limit, setting)
        if (_header(scope, b"content-encoding") or "identity").lower() != "identity":
            return InvalidRequest("Compressed request bodies are not read; send the body without content-encoding.")
        return None

    async def _refuse(self, scope: Scope, send: Send, error: TwinportError) -> None:
        body = self._render_error(scope["path"], error)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _too_large(limit: int, setting: str) -> PayloadTooLarge:
    named = f" ({setting})" if setting else ""
    return PayloadTooLarge(f"The request body is larger than {limit} bytes{named}.")


def openai_error_body(error: TwinportError) -> bytes:
    """Render an error as OpenAI does: `{"error": {"message", "type", "param", "code"}}`."""
    body: dict[str, object] = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    if error.details:
        body["details"] = dict(error.details)
    return orjson.dumps({"error": body}, default=str)
