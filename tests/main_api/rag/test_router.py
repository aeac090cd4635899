"""`/v1/rag` of the main API over a scripted tools API: who calls, what passes, and what never does."""

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web

from main_api.rag.routes import ROUTES, RagRoute
from tests.main_api.rag.conftest import Rag
from tests.main_api.served.platform import Platform

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

RELAYED = [route for route in ROUTES if route.answer == "object"]
CANARY = "/srv/secret/path"


def filled(route: RagRoute) -> str:
    path = route.path
    for name in ("collection", "document", "job"):
        path = path.replace(f"{{{name}}}", f"the {name}")
    return f"/v1/rag{path}".replace(" ", "%20")


async def test_the_caller_is_named_to_the_tools_api_by_a_word(served: Platform, rag: Rag) -> None:
    rag.answers({"object": "list", "data": []})
    me = (await served.call("GET", "/api/auth/me", key=served.person)).body["data"]["id"]
    for key in (served.person, served.program):
        spoofed = {"x-acting-for": "user-1"}
        answer = await served.call("GET", "/v1/rag/jobs", key=key, headers=spoofed if key == served.person else {})
        assert answer.status == 200, answer.raw
        assert rag.asked.headers["x-acting-for"] == f"user-{me}"
        assert rag.asked.headers.getall("x-acting-for") == [f"user-{me}"]
        assert rag.asked.headers["authorization"].startswith("Bearer tools-canary-")


@pytest.mark.parametrize("route", RELAYED, ids=lambda route: route.name)
async def test_a_call_and_its_answer_pass_as_they_are(served: Platform, rag: Rag, route: RagRoute) -> None:
    rag.answers({"said": route.name}, status=route.status)
    body = route.example or None
    answer = await served.call(route.method, f"{filled(route)}?limit=3&after=x%20y", body, key=served.person)

    assert (answer.status, answer.body) == (route.status, {"said": route.name})
    assert rag.asked.method == route.method
    assert rag.asked.raw_path == f"{filled(route)}?limit=3&after=x%20y"
    assert await rag.asked.json() == body if body else not await rag.asked.read()
    assert answer.headers["content-type"] == "application/json"
    assert "no-store" in answer.headers["cache-control"]


async def test_only_headers_about_the_body_pass(served: Platform, rag: Rag) -> None:
    rag.answers({})
    sent = {"cookie": "a=b", "x-forwarded-for": "1.2.3.4", "range": "bytes=0-1", "accept-encoding": "gzip", "x-y": "z"}
    await served.call("POST", "/v1/rag/search", {"query": "x"}, key=served.person, headers=sent)

    passed = {name.lower() for name in rag.asked.headers}
    assert passed <= {
        *("host", "authorization", "x-acting-for", "x-request-id", "accept-encoding", "accept", "user-agent"),
        *("content-type", "content-length"),
    }
    assert rag.asked.headers["accept-encoding"] == "identity"


async def test_the_headers_of_an_answer_are_ours(served: Platform, rag: Rag) -> None:
    rag.answers({}, set_cookie="a=b", server="tools/1", x_path=CANARY)
    answer = await served.call("GET", "/v1/rag/status", key=served.person)

    assert not {"set-cookie", "x-path"} & set(answer.headers)
    assert answer.headers.get("server", "uvicorn") == "uvicorn"


async def test_nobody_without_the_scope_gets_through(served: Platform, rag: Rag) -> None:
    rag.answers({})
    limited = await served.new_key(served.person, scopes=["chat", "sessions", "models"])
    for route in ROUTES:
        assert (await served.call(route.method, filled(route), {}, key=limited)).status == 403
        assert (await served.call(route.method, filled(route), {})).status == 401
    tools_own = (served.data_dir / "secrets" / "tools_llm_api_key").read_text().strip()  # may ask models, no more
    assert (await served.call("POST", "/v1/rag/search", {}, key=tools_own)).status == 403
    assert rag.calls == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/rag"),
        ("GET", "/v1/rag/"),
        ("GET", "/v1/rag/people"),
        ("PUT", "/v1/rag/collections/a"),
        ("DELETE", "/v1/rag/collections"),
        ("DELETE", "/v1/rag/jobs/j"),
        ("POST", "/v1/rag/collections/a"),
        ("GET", "/v1/rag/collections/a/b"),
        ("GET", "/v1/rag/collections/../../tools"),
        ("GET", "/v1/rag/collections/%2e%2e"),
        ("GET", "/v1/rag/collections/%2e%2e/grants"),
        ("GET", "/v1/rag/collections/a%2f..%2f..%2ftools"),
        ("GET", "/v1/rag/collections/a%00"),
        ("GET", "/v1/rag/collections/a%0d%0ax:%20y"),
        ("GET", "/v1/rag/jobs/%2e%2e/events"),
        ("GET", "/v1/rag//collections"),
        ("GET", "/v1/tools"),
        ("POST", "/v1/tools/python_coder/invoke"),
        ("DELETE", "/v1/rag/collections/a/grants/.."),
    ],
)
async def test_nothing_else_of_the_tools_api_can_be_reached(served: Platform, rag: Rag, method: str, path: str) -> None:
    rag.answers({"reached": True})
    host, _, port = served.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))  # a client would tidy the path up
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {served.person}\r\n"
    writer.write(f"{head}connection: close\r\ncontent-length: 0\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()

    assert answer[9:12] in {b"404", b"405", b"400"}, answer[:200]
    assert rag.calls == 0


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, 400), (403, 403), (404, 404), (408, 408), (409, 409), (413, 413), (429, 429), (503, 503), (507, 507)],
)
async def test_a_refusal_passes_in_the_tools_apis_words(served: Platform, rag: Rag, status: int, expected: int) -> None:
    rag.refuses(status, "Say a name.", "the_code", retry_after="7")
    answer = await served.call("POST", "/v1/rag/search", {}, key=served.person)

    assert (answer.status, answer.error["message"], answer.error["code"]) == (expected, "Say a name.", "the_code")
    assert answer.headers["retry-after"] == "7"
    assert "x-request-id" in answer.headers


@pytest.mark.parametrize("body", [{"error": CANARY}, {"detail": CANARY}, {"error": {"message": 5}}, [1]])
async def test_a_failure_of_the_tools_api_shows_nothing_of_it(served: Platform, rag: Rag, body: Any) -> None:
    for status in (500, 502, 400, 302):
        rag.answers(body, status=status, location="http://127.0.0.1/x")
        answer = await served.call("GET", "/v1/rag/jobs", key=served.person)
        assert (answer.status, answer.error["type"]) == (502, "upstream_error")
        assert CANARY.encode() not in answer.raw


async def test_a_key_that_the_tools_api_refuses_is_not_the_callers_fault(served: Platform, rag: Rag) -> None:
    rag.refuses(401, "This service key is not known here.")
    answer = await served.call("GET", "/v1/rag/collections", key=served.person)
    assert (answer.status, answer.error["code"]) == (503, "service_unavailable")
    assert "TOOLS_API_KEY" in answer.error["message"]


async def test_a_tools_api_that_is_down_is_said_within_a_second(served: Platform, rag: Rag) -> None:
    await served.tools.stop()
    try:
        started = time.monotonic()
        answer = await served.call("GET", "/v1/rag/collections", key=served.person)
        upload = await served.call("POST", "/v1/rag/collections/a/documents", b"x" * 100_000, key=served.person)
    finally:
        await served.tools.start()
    assert time.monotonic() - started < 10  # two connections that are refused; never a timeout
    for refused in (answer, upload):
        assert (refused.status, refused.error["code"]) == (503, "service_unavailable")
        assert "documents are off for the moment" in refused.error["message"]
        assert refused.headers["retry-after"] == "5"


async def test_a_file_is_saved_and_never_shown_as_a_page(served: Platform, rag: Rag) -> None:
    for offered, expected in (
        ('attachment; filename="a.html"', 'attachment; filename="a.html"'),
        ("inline", "attachment"),
    ):
        rag.does(_file(b"<script>", offered))
        answer = await served.call("GET", "/v1/rag/collections/c/documents/d/content", key=served.person)
        assert (answer.status, answer.raw) == (200, b"<script>")
        assert answer.headers["content-disposition"] == expected
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-length"] == "8"


def _file(data: bytes, disposition: str) -> Any:
    async def send(_request: web.Request) -> web.Response:
        return web.Response(body=data, content_type="text/html", headers={"content-disposition": disposition})

    return send


async def test_what_a_page_asks_is_said_in_the_description(served: Platform) -> None:
    paths = (await served.call("GET", "/openapi.json")).body["paths"]
    for route in ROUTES:
        operation = paths[f"/v1/rag{route.path}"][route.method.lower()]
        assert operation["description"]
        named = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert set(route.query) <= named
        assert ("requestBody" in operation) == (route.body != "none")
