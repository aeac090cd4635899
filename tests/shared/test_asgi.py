"""The middleware of both processes, around small applications."""

import json
import re
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.asgi import BodyLimit, PathLimit, RequestContext, openai_error_body
from shared.errors import NotFound, RateLimited, TwinportError
from shared.request_id import current_request_id


class Exchange:
    """One request through an application: what was sent in pieces, what came back."""

    def __init__(self, *body: bytes, headers: dict[str, str] | None = None, path: str = "/x") -> None:
        self._pieces = list(body) or [b""]
        self.scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "server": ("test", 80),
            "client": ("127.0.0.1", 1),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()],
        }
        self.read = 0
        self.sent: list[Message] = []

    async def through(self, app: ASGIApp) -> "Exchange":
        await app(self.scope, self._receive, self._send)
        return self

    async def _receive(self) -> Message:
        if not self._pieces:
            return {"type": "http.disconnect"}
        self.read += 1
        return {"type": "http.request", "body": self._pieces.pop(0), "more_body": bool(self._pieces)}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


async def echoing(_scope: Scope, receive: Receive, send: Send) -> None:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def render(path: str, error: TwinportError) -> bytes:
    return json.dumps({"path": path, "code": error.code}).encode()


def limited(app: ASGIApp = echoing) -> BodyLimit:
    return BodyLimit(app, limit=10, render_error=render)


async def test_a_body_within_the_limit_passes() -> None:
    exchange = await Exchange(b"12345", b"67890").through(limited())

    assert (exchange.status, exchange.body) == (200, b"1234567890")


async def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    exchange = await Exchange(b"x" * 11, headers={"Content-Length": "11"}).through(limited())

    assert (exchange.status, json.loads(exchange.body)) == (413, {"path": "/x", "code": "payload_too_large"})
    assert exchange.read == 0
    assert exchange.headers[b"connection"] == b"close"


@pytest.mark.parametrize("length", ["abc", "-1", "1.5", "²", "", "1 1"])
async def test_a_length_that_is_no_number_is_a_bad_request(length: str) -> None:
    assert (await Exchange(b"", headers={"Content-Length": length}).through(limited())).status == 400


async def test_a_length_of_thousands_of_digits_is_refused_without_a_crash() -> None:
    assert (await Exchange(b"", headers={"Content-Length": "9" * 5000}).through(limited())).status == 413


async def test_a_body_that_grows_over_the_limit_is_refused_as_it_comes() -> None:
    exchange = await Exchange(*[b"x" * 4] * 100).through(limited())

    assert exchange.status == 413
    assert exchange.read == 3


async def test_the_answer_is_413_even_where_the_framework_makes_a_400_of_it() -> None:
    app = FastAPI()

    @app.post("/x")
    async def accept(body: dict[str, Any]) -> dict[str, Any]:
        return body

    exchange = Exchange(b"{" + b" " * 20, headers={"Content-Type": "application/json"})
    await exchange.through(limited(app))

    assert exchange.status == 413
    assert len([message for message in exchange.sent if message["type"] == "http.response.start"]) == 1


async def test_an_answer_under_way_is_not_broken_by_what_the_caller_still_sends() -> None:
    async def answers_first(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await receive()
        await receive()

    exchange = await Exchange(b"x" * 8, b"x" * 8).through(limited(answers_first))

    assert [message["type"] for message in exchange.sent].count("http.response.start") == 1
    assert exchange.status == 200


def with_uploads() -> BodyLimit:
    uploads = PathLimit(re.compile(r"/files/[^/]+"), 20, "LARGEST_FILE")
    return BodyLimit(echoing, limit=10, render_error=openai_body, others=(uploads,))


def openai_body(_path: str, error: TwinportError) -> bytes:
    return openai_error_body(error)


async def test_a_path_that_takes_files_has_a_limit_of_its_own() -> None:
    assert (await Exchange(b"x" * 20, path="/files/1").through(with_uploads())).status == 200
    exchange = await Exchange(b"x" * 20, b"x", path="/files/1").through(with_uploads())

    assert exchange.status == 413
    assert "20 bytes (LARGEST_FILE)" in exchange.body.decode()


@pytest.mark.parametrize("path", ["/files/", "/files/1/x", "/x/files/1", "/files"])
async def test_the_limit_of_files_is_for_the_whole_path_only(path: str) -> None:
    assert (await Exchange(b"x" * 11, path=path).through(with_uploads())).status == 413


async def test_a_compressed_body_is_refused() -> None:
    exchange = await Exchange(b"", headers={"Content-Encoding": "gzip"}).through(limited())

    assert (exchange.status, json.loads(exchange.body)["code"]) == (400, "invalid_request_error")


async def test_an_error_of_the_application_is_not_swallowed() -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise NotFound("nothing here")

    with pytest.raises(NotFound):
        await Exchange().through(limited(broken))


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_other_than_http_passes_untouched(kind: str) -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    for middleware in (limited(app), RequestContext(app)):
        exchange = Exchange()
        exchange.scope["type"] = kind
        await exchange.through(middleware)

    assert seen == [kind, kind]


async def test_a_request_gets_an_id_that_the_application_sees_and_the_answer_carries() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(current_request_id())
        await echoing(scope, receive, send)

    exchange = await Exchange(headers={"X-Request-Id": "req_1"}).through(RequestContext(app))

    assert seen == ["req_1"]
    assert exchange.headers[b"x-request-id"] == b"req_1"


async def test_answers_are_counted_by_route_template_or_as_unmatched() -> None:
    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = type("Route", (), {"path": "/items/{id}"})()
        await echoing(scope, receive, send)

    def count(route: str, status: str) -> float:
        labels = {"method": "POST", "route": route, "status": status}
        return REGISTRY.get_sample_value("twinport_http_requests_total", labels) or 0

    before = (count("/items/{id}", "200"), count("unmatched", "200"))
    await Exchange(path="/items/1").through(RequestContext(routed))
    await Exchange(path="/secret-looking/path").through(RequestContext(echoing))

    assert (count("/items/{id}", "200"), count("unmatched", "200")) == (before[0] + 1, before[1] + 1)


async def test_a_request_that_never_got_an_answer_counts_as_499_and_leaves_the_gauge() -> None:
    async def leaving(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ConnectionResetError

    labels = {"method": "POST", "route": "unmatched", "status": "499"}
    before = REGISTRY.get_sample_value("twinport_http_requests_total", labels) or 0
    with pytest.raises(ConnectionResetError):
        await Exchange().through(RequestContext(leaving))

    assert REGISTRY.get_sample_value("twinport_http_requests_total", labels) == before + 1
    assert REGISTRY.get_sample_value("twinport_http_requests_in_flight") == 0


async def test_a_streamed_answer_goes_out_piece_by_piece() -> None:
    seen: list[int] = []

    async def streaming(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"a", b"b", b""):
            await send({"type": "http.response.body", "body": piece, "more_body": bool(piece)})
            seen.append(len(exchange.sent))

    exchange = Exchange()
    await exchange.through(RequestContext(limited(streaming)))

    assert seen == [2, 3, 4]


def test_an_error_has_openais_shape() -> None:
    body = json.loads(openai_error_body(RateLimited("slow down", param="messages", details={"limit": 5})))

    assert body == {
        "error": {
            "message": "slow down",
            "type": "rate_limit_exceeded",
            "param": "messages",
            "code": "rate_limit_exceeded",
            "details": {"limit": 5},
        }
    }
