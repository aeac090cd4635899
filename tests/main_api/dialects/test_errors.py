"""Every failure in the envelope of its dialect, bugs included; over a real server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
from fastapi import FastAPI
from prometheus_client import REGISTRY

from main_api.app import create_app
from main_api.dialects.errors import install_error_handlers, render_error, validation_failure
from shared.asgi import BodyLimit, RequestContext
from shared.errors import InvalidRequest, NotFound, RateLimited, TwinportError, Unauthenticated
from tests.main_api.served.platform import Answer, Platform, platform, serving, settings

served_tests = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


def test_openais_envelope_is_the_default() -> None:
    error = InvalidRequest("No.", param="n")
    expected = {"message": "No.", "type": "invalid_request_error", "param": "n", "code": "invalid_request_error"}
    for path in ("/v1/chat/completions", "/api/chat/sessions", "/nothing", "/api/authentic"):
        assert orjson.loads(render_error(path, error)) == {"error": expected}


def test_accounts_have_the_portals_envelope() -> None:
    body = orjson.loads(render_error("/api/auth/login", Unauthenticated("No.")))
    assert body == {"success": False, "error": "No.", "code": "invalid_api_key"}


def test_the_portals_rate_limit_tells_its_details() -> None:
    error = RateLimited("Slow down", details={"limit": 5, "retryAfter": 9})
    body = orjson.loads(render_error("/api/auth/login", error))
    assert body["success"] is False
    assert body["error"]["type"] == "rate_limit_exceeded"
    assert body["error"]["details"] == {"limit": 5, "retryAfter": 9}


def test_a_validation_failure_names_the_callers_own_field() -> None:
    problems: list[dict[str, Any]] = [
        {"loc": ("body", "messages", 0, "content", "list[ContentPart]", 1, "type"), "msg": "Value error, is odd"},
        {"loc": ("body", "n"), "msg": "x"},
    ]
    error = validation_failure(problems)
    assert error.param == "messages.0.content.1.type"
    assert error.message == "messages.0.content.1.type: is odd. (1 more like this)"


def broken_app() -> FastAPI:
    app = FastAPI()

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("the secret of line 7")

    @app.get("/v1/known/{number}")
    async def known(number: int) -> None:
        raise NotFound(f"There is no {number}.")

    install_error_handlers(app)
    app.add_middleware(BodyLimit, limit=100, render_error=render_error)
    app.add_middleware(RequestContext)
    return app


@pytest_asyncio.fixture
async def broken() -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    async with serving(broken_app()) as (url, _), aiohttp.ClientSession() as http:
        yield url, http


async def test_a_bug_shows_the_request_id_and_nothing_else(broken: tuple[str, aiohttp.ClientSession]) -> None:
    url, http = broken
    labels = {"method": "GET", "route": "/bug", "status": "500"}
    before = REGISTRY.get_sample_value("twinport_http_requests_total", labels) or 0

    async with http.get(f"{url}/bug") as answer:
        body = await answer.json()

    assert answer.status == 500
    assert body["error"]["code"] == "internal_error"
    assert answer.headers["x-request-id"] in body["error"]["message"]
    assert "secret" not in str(body)
    assert REGISTRY.get_sample_value("twinport_http_requests_total", labels) == before + 1


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("DELETE", "/bug", 405, "method_not_allowed"),
        ("GET", "/v1/known/7", 404, "not_found"),
        ("GET", "/v1/known/seven", 400, "invalid_request_error"),
        ("GET", "/v1/known/" + "7" * 5000, 400, "invalid_request_error"),
        ("GET", "/%00", 404, "not_found"),
    ],
)
async def test_statuses_keep_their_envelope(
    broken: tuple[str, aiohttp.ClientSession], method: str, path: str, status: int, code: str
) -> None:
    url, http = broken
    async with http.request(method, url + path) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (status, code)
        assert answer.headers["x-request-id"]
        assert ("allow" in answer.headers) == (status == 405)


async def test_an_error_of_ours_in_the_tree_has_a_code_and_a_status() -> None:
    def tree(kind: type[TwinportError]) -> list[type[TwinportError]]:
        return [kind, *(leaf for sub in kind.__subclasses__() for leaf in tree(sub))]

    kinds = tree(TwinportError)
    assert len(kinds) > 20
    for kind in kinds:
        assert 400 <= kind.status < 600, kind
        assert kind.code, kind
        assert kind.type, kind


class TestOnTheRealApp:
    pytestmark = served_tests

    @pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/signup", "/api/auth/register", "/api/auth/refresh"])
    async def test_accounts_answer_bad_bodies_in_the_portals_shape(self, served: Platform, path: str) -> None:
        bodies = [
            b"",
            b"{",
            b"[]",
            b'"x"',
            b"null",
            b"\xff",
            b'{"username": 5}',
            b"[" * 30_000,
            b'{"username": "\\ud800"}',
        ]
        for body in bodies:
            answer = await served.call("POST", path, body)
            assert answer.status == 400, body
            assert answer.body["success"] is False
            assert isinstance(answer.body["error"], str)

    async def test_a_large_body_for_an_account_is_not_read(self, served: Platform) -> None:
        for path in ("/api/auth/login", "/api/chat/sessions/ses_1"):
            answer = await served.call("PATCH" if "chat" in path else "POST", path, b"[" * 70_000)
            assert answer.status == 413

    async def test_the_limit_on_signing_in_has_the_portals_shape(self, tmp_path: Path, served: Platform) -> None:
        app = create_app(settings(tmp_path, served.upstream, served.tools, rate_limit_enabled=True))
        async with serving(app) as (url, _):
            answers = await asyncio.gather(*(_sign_in(served.http, url) for _ in range(7)))
        limited = [answer for answer in answers if answer.status == 429]
        assert len(limited) == 2
        body = limited[0].body
        assert body["success"] is False
        assert body["error"]["type"] == "rate_limit_exceeded"
        assert body["error"]["details"]["limit"] == 5
        assert 0 < int(limited[0].headers["retry-after"]) <= 900

    async def test_the_limit_of_a_key_has_openais_shape(self, tmp_path: Path) -> None:
        async with platform(tmp_path, rate_limit_enabled=True, api_key_requests_per_minute=3) as limited:
            model = limited.model()
            limited.upstream.says(model, "Hi")
            answers = [await limited.chat(limited.program, model) for _ in range(5)]
            as_a_person = await limited.chat(limited.person, model)
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[3].error["type"] == "rate_limit_exceeded"
        assert 0 < int(answers[3].headers["retry-after"]) <= 60
        assert as_a_person.status == 200


async def _sign_in(http: aiohttp.ClientSession, url: str) -> Answer:
    async with http.post(f"{url}/api/auth/login", json={"username": "nobody", "password": "wrong-1234"}) as answer:
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read())
