"""The application as a whole: who may call what, browsers, what logs and prompts keep to themselves."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from main_api.app import create_app
from tests.main_api.served.platform import PASSWORD, Platform, serving, settings
from tests.main_api.served.upstream import chunk

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

PUBLIC = {
    ("get", "/health"),
    ("get", "/api/health"),
    ("post", "/api/auth/signup"),
    ("post", "/api/auth/register"),
    ("post", "/api/auth/login"),
    ("post", "/api/auth/refresh"),
}
"""Operations that need no credential. Anything else answers 401 without one; a new route has to choose."""

UNLISTED = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/static-offline-docs", "/metrics"}
"""Routes that the API description leaves out. All are public; /metrics to this machine only (see below)."""

NOT_A_CREDENTIAL = [
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "Bearer x.y.z"},
    {"authorization": "Basic cm9vdDpwYXNzd29yZDEyMw=="},
    {"authorization": "Bearer ak_00000000000000000000000000000000000000000000"},
    {"x-api-key": "' OR 1=1 --"},
    {"x-api-key": "null"},
]


def operations(served: Platform) -> list[tuple[str, str]]:
    paths: dict[str, dict[str, Any]] = served.app.openapi()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


def filled(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "1", path)


async def test_every_operation_but_the_public_ones_wants_a_credential(served: Platform) -> None:
    known = operations(served)
    assert set(known) >= PUBLIC
    closed = [operation for operation in known if operation not in PUBLIC]
    assert len(closed) >= 15
    for method, path in closed:
        for headers in NOT_A_CREDENTIAL:
            answer = await served.call(method, filled(path), {"messages": []}, headers=headers)
            assert answer.status == 401, (method, path, headers, answer.raw)
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_public_operations_need_none(served: Platform) -> None:
    for method, path in PUBLIC:
        answer = await served.call(method, path, {})
        assert answer.status in {200, 400}, (method, path)


async def test_no_route_is_outside_of_the_description_and_the_list(served: Platform) -> None:
    described = {path for _, path in operations(served)}
    paths = {path.replace(":path", "") for path in _paths(served.app.routes)}
    assert described < paths
    assert paths - described == UNLISTED


def _paths(routes: Iterable[Any]) -> Iterator[str]:
    for route in routes:
        if included := getattr(route, "original_router", None):
            yield from _paths(included.routes)
        else:
            yield route.path


@pytest.mark.parametrize(
    "path",
    [
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/./chat/completions",
        "/v1/x/../chat/completions",
        "/v1/%2e%2e/v1/chat/completions",
        "/v1/chat/completions/",
        "/v1/chat/completions;x=1",
        "/v1/chat/completions%00",
        "/V1/Chat/Completions",
        "/health/../v1/chat/completions",
        "/v1/chat/completions?",
        "/v1/chat/completions#/health",
    ],
)
async def test_no_spelling_of_a_path_gets_around_the_credential(served: Platform, path: str) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    body = b'{"messages": []}'
    for target in (path, f"http://localhost{path}"):
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {target} HTTP/1.1\r\nhost: evil/?\r\nx-original-url: /health\r\nx-forwarded-for: 127.0.0.1\r\n"
        writer.write(head.encode() + b"connection: close\r\ncontent-type: application/json\r\n")
        writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
        answer = await reader.read()
        writer.close()
        assert answer[9:12] in {b"401", b"404", b"307", b"400"}, answer[:100]


async def test_somebody_elses_things_are_not_there(served: Platform) -> None:
    """Sessions and keys by id, as another person, another program and the owner's key without the scope."""
    model = served.model()
    served.upstream.says(model, "Hi")
    session = (await served.chat(served.person, model)).body["session_id"]
    keys = (await served.call("GET", "/api/auth/api-keys", key=served.person)).body["data"]
    things = [
        ("GET", f"/api/chat/history/{session}", None),
        ("PATCH", f"/api/chat/sessions/{session}", {"title": "Mine"}),
        ("GET", f"/api/chat/sessions/{session}/export", None),
        ("DELETE", f"/api/chat/sessions/{session}", None),
        ("DELETE", f"/api/auth/api-keys/{keys[0]['id']}", None),
    ]
    described = {(method.upper(), path) for method, path in operations(served) if "{" in path}
    described = {one for one in described if not one[1].startswith("/v1/rag/")}  # whose things those are, others test
    assert len(described) == len(things) + 2, "a new operation with an id belongs here"  # and models, and artifacts
    for method, path, body in things:
        for key in (served.stranger, served.admin):
            answer = await served.call(method, path, body, key=key)
            assert answer.status == 404, (method, path, answer.raw)
    limited = await served.new_key(served.person, scopes=["chat"])
    for method, path, body in things:
        assert (await served.call(method, path, body, key=limited)).status == 403
    assert len(await served.history(served.person, session)) == 2


async def test_metrics_are_for_this_machine_and_for_admins(served: Platform) -> None:
    answer = await served.call("GET", "/metrics")
    assert answer.status == 200
    assert b"twinport_http_requests_total" in answer.raw
    for proxied in ({"x-forwarded-for": "203.0.113.9"}, {"forwarded": "for=203.0.113.9"}, {"x-real-ip": "203.0.113.9"}):
        assert (await served.call("GET", "/metrics", headers=proxied)).status == 401
        assert (await served.call("GET", "/metrics", key=served.person, headers=proxied)).status == 403
        assert (await served.call("GET", "/metrics", key=served.admin, headers=proxied)).status == 200


async def test_metrics_name_no_person_key_or_path(served: Platform) -> None:
    await served.call("GET", f"/nothing/{served.person}/x")
    raw = (await served.call("GET", "/metrics")).raw.decode()
    for secret in (served.person, served.program, "ada", "/nothing", PASSWORD):
        assert secret not in raw


async def test_docs_and_description_are_there(served: Platform) -> None:
    assert (await served.call("GET", "/docs")).status == 200
    body = (await served.call("GET", "/openapi.json")).raw.decode()
    assert "ChatCompletionRequest" in body
    assert str(served.data_dir) not in body


@pytest_asyncio.fixture(loop_scope="session", params=[["https://good.example"], ["*"], []], ids=["one", "any", "none"])
async def with_origins(
    request: pytest.FixtureRequest, served: Platform, tmp_path: Path
) -> AsyncIterator[tuple[str, list[str]]]:
    app = create_app(settings(tmp_path, served.upstream, served.tools, cors_origins=request.param))
    async with serving(app) as (url, _):
        yield url, request.param


async def test_only_the_origins_that_are_named_may_send_credentials(
    with_origins: tuple[str, list[str]], served: Platform
) -> None:
    url, allowed = with_origins
    for origin in ("https://good.example", "https://evil.example", "null", "https://good.example.evil.example"):
        for method, path in (("GET", "/health"), ("POST", "/v1/chat/completions"), ("OPTIONS", "/v1/chat/completions")):
            headers = {"origin": origin, "access-control-request-method": "POST"}
            async with served.http.request(method, url + path, headers=headers) as answer:
                may = answer.headers.get("access-control-allow-origin")
                credentials = answer.headers.get("access-control-allow-credentials")
            if allowed == ["*"]:
                assert (may, credentials) == ("*", None)
            elif origin in allowed:
                assert (may, credentials) == (origin, "true")
            else:
                assert (may, credentials) == (None, None), (origin, method)


async def test_a_page_may_read_the_headers_that_it_needs(with_origins: tuple[str, list[str]], served: Platform) -> None:
    url, allowed = with_origins
    if not allowed:
        return
    async with served.http.get(f"{url}/health", headers={"origin": "https://good.example"}) as answer:
        exposed = answer.headers["access-control-expose-headers"].lower()
    assert {"x-request-id", "x-session-id", "retry-after"} <= set(exposed.replace(" ", "").split(","))


async def test_no_secret_reaches_a_log_or_the_prompts(served: Platform) -> None:
    """Everything that a caller sends to prove who they are, and what a person pastes into a chat by mistake."""
    model = served.model()
    served.upstream.streams(model, chunk({"content": "Hi"}), then="reset")
    password = "canary-Passw0rd!"
    pasted = "sk-proj-" + "C4nary" * 8
    with capture_logs() as logs:
        await served.call("POST", "/api/auth/signup", {"username": "carl", "password": password})
        login = await served.call("POST", "/api/auth/login", {"username": "carl", "password": password})
        await served.call("POST", "/api/auth/login", {"username": "carl", "password": password + "x"})
        token, refresh = login.body["access_token"], login.body["refresh_token"]
        await served.call("POST", "/api/auth/refresh", {"refresh_token": refresh})
        key = await served.new_key(token)
        said = f"my key is {key}, my token {token}, OpenAI's {pasted}, password: {password}"
        await served.stream(token, model, said)
        await served.call("GET", f"/v1/models?api_key={key}", key=token + "x")
    await asyncio.sleep(0.4)

    log = orjson.dumps(logs, default=str).decode()
    prompts = (served.data_dir / "logs" / "prompts.log").read_text()
    assert "my key is" in prompts
    assert "request" in log
    upstream_key, tools_key = "upstream-canary", "tools-canary"
    for secret in (key, token, refresh, upstream_key, tools_key):
        assert secret not in log
        assert secret not in prompts
    assert pasted not in prompts
    assert password not in log


async def test_secrets_on_disk_are_for_their_owner_alone(served: Platform) -> None:
    files = [path for path in served.data_dir.rglob("*") if path.is_file()]
    assert len(files) > 5
    secrets = list((served.data_dir / "secrets").iterdir())
    assert secrets
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}


async def test_health_answers_while_everything_hangs(served: Platform) -> None:
    model = served.model()
    script = served.upstream.hangs(model)
    waiting = [asyncio.create_task(served.chat(served.program, model)) for _ in range(50)]
    while len(script.bodies) < 50:
        await asyncio.sleep(0.02)

    async with asyncio.timeout(30):
        assert (await served.call("GET", "/health")).body["status"] == "OK"

    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await served.settled() == set()


async def test_a_connection_serves_many_calls(served: Platform) -> None:
    model = served.model()
    served.upstream.says(model, "Hi")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as one:
        headers = {"x-api-key": served.program}
        body = {"model": f"compatible/{model}", "messages": [{"role": "user", "content": "x"}]}
        for number in range(10):
            async with one.post(
                f"{served.url}/v1/chat/completions", json={**body, "stream": number % 2 == 0}, headers=headers
            ) as answer:
                assert answer.status == 200
                assert b"Hi" in await answer.read()
