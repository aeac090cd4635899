"""The endpoints over HTTP, with callers who are already authenticated: a header says who."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from main_api.auth.deps import authenticate_request
from main_api.auth.principal import ALL_SCOPES, Principal
from main_api.sessions.router import router
from main_api.sessions.service import SessionService
from shared.errors import TwinportError
from tests.main_api.sessions.conftest import ALICE, BOB

AS_BOB = {"x-user": str(BOB)}


def authenticated(request: Request) -> Principal:
    scopes = ALL_SCOPES - set(request.headers.get("x-without", "").split())
    user_id = int(request.headers.get("x-user", ALICE))
    return Principal(user_id=user_id, username="u", role="user", credential="api_key", scopes=frozenset(scopes))


async def render_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TwinportError)
    return JSONResponse({"error": {"message": error.message, "code": error.code}}, status_code=error.status)


@pytest.fixture
async def client(sessions: SessionService) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(exception_handlers={TwinportError: render_error})
    app.include_router(router)
    app.dependency_overrides[authenticate_request] = authenticated

    async def with_lifespan_state(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": {"sessions": sessions}}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(with_lifespan_state), base_url="http://api") as opened:
        yield opened


@pytest.fixture
async def session_id(sessions: SessionService) -> str:
    async with sessions.turn(ALICE) as turn:
        await turn.append_user({"role": "user", "content": "What is 6 * 7? <b>é</b>"})
        await turn.append_assistant(
            {"content": "It is 42."}, model="tiny", finish_reason="stop", steps=[{"tool": "calculator", "ok": True}]
        )
    return turn.session_id


async def test_list_shows_title_count_and_times(client: httpx.AsyncClient, session_id: str) -> None:
    body = (await client.get("/api/chat/sessions")).json()
    (listed,) = body["sessions"]
    assert (body["total"], body["limit"], body["offset"]) == (1, 20, 0)
    assert (listed["id"], listed["title"], listed["message_count"]) == (session_id, None, 2)
    assert listed["created_at"] <= listed["updated_at"]
    assert listed["created_at"].endswith("Z")


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "offset=-1", "offset=99999999999999999999"])
async def test_pages_out_of_range_are_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/api/chat/sessions?{query}")).status_code == 422


async def test_history_tells_content_and_how_it_went(client: httpx.AsyncClient, session_id: str) -> None:
    body = (await client.get(f"/api/chat/history/{session_id}")).json()
    question, answer = body["messages"]
    assert (body["session_id"], body["message_count"]) == (session_id, 2)
    assert (question["role"], question["content"], question["status"]) == (
        *("user", "What is 6 * 7? <b>é</b>", "complete"),
    )
    assert (answer["model"], answer["finish_reason"]) == ("tiny", "stop")
    assert answer["steps"] == [{"tool": "calculator", "ok": True}]


async def test_a_message_with_odd_fields_of_a_client_stays_readable(
    client: httpx.AsyncClient, sessions: SessionService
) -> None:
    async with sessions.turn(ALICE) as turn:
        await turn.append_user({"role": "user", "content": {"odd": 1}, "name": 7, "tool_calls": "none"})
    for path in (f"history/{turn.session_id}", f"sessions/{turn.session_id}/export?format=markdown"):
        assert (await client.get(f"/api/chat/{path}")).status_code == 200


async def test_rename_is_shown_in_the_list(client: httpx.AsyncClient, session_id: str) -> None:
    renamed = await client.patch(f"/api/chat/sessions/{session_id}", json={"title": "  Six\ntimes seven "})
    assert renamed.json() == {"id": session_id, "title": "Six times seven"}
    assert (await client.get("/api/chat/sessions")).json()["sessions"][0]["title"] == "Six times seven"


@pytest.mark.parametrize("body", [{}, {"title": ""}, {"title": 5}, {"title": "x" * 1001}, {"title": "x", "user_id": 2}])
async def test_a_bad_rename_is_refused(client: httpx.AsyncClient, session_id: str, body: dict[str, object]) -> None:
    assert (await client.patch(f"/api/chat/sessions/{session_id}", json=body)).status_code == 422


async def test_a_blank_title_is_refused(client: httpx.AsyncClient, session_id: str) -> None:
    assert (await client.patch(f"/api/chat/sessions/{session_id}", json={"title": " \n"})).status_code == 400


async def test_delete_is_for_good(client: httpx.AsyncClient, session_id: str) -> None:
    assert (await client.delete(f"/api/chat/sessions/{session_id}")).status_code == 204
    assert (await client.delete(f"/api/chat/sessions/{session_id}")).status_code == 404
    assert (await client.get(f"/api/chat/history/{session_id}")).status_code == 404
    assert (await client.get("/api/chat/sessions/search?q=42")).json()["results"] == []


async def test_search_gives_snippets_with_highlights(client: httpx.AsyncClient, session_id: str) -> None:
    (hit,) = (await client.get("/api/chat/sessions/search", params={"q": "42"})).json()["results"]
    assert (hit["session_id"], hit["role"], hit["snippet"], hit["highlights"]) == (
        *(session_id, "assistant", "It is 42.", [[6, 8]]),
    )


async def test_export_as_json_is_the_history_as_a_file(client: httpx.AsyncClient, session_id: str) -> None:
    exported = await client.get(f"/api/chat/sessions/{session_id}/export")
    assert exported.headers["content-disposition"] == f'attachment; filename="{session_id}.json"'
    assert exported.json() == (await client.get(f"/api/chat/history/{session_id}")).json()


async def test_export_as_markdown_reads_as_a_conversation(client: httpx.AsyncClient, session_id: str) -> None:
    await client.patch(f"/api/chat/sessions/{session_id}", json={"title": "Sums"})
    exported = await client.get(f"/api/chat/sessions/{session_id}/export?format=markdown")
    assert exported.headers["content-type"] == "text/markdown; charset=utf-8"
    text = exported.text
    assert text.startswith("# Sums\n")
    assert text.index("## User") < text.index("What is 6 * 7?") < text.index("## Assistant") < text.index("It is 42.")


async def test_an_unknown_export_format_is_refused(client: httpx.AsyncClient, session_id: str) -> None:
    assert (await client.get(f"/api/chat/sessions/{session_id}/export?format=exe")).status_code == 422


PATHS = [
    ("GET", "history/{id}", None),
    ("PATCH", "sessions/{id}", {"title": "mine now"}),
    ("DELETE", "sessions/{id}", None),
    ("GET", "sessions/{id}/export", None),
    ("GET", "sessions/{id}/export?format=markdown", None),
]


@pytest.mark.parametrize(("method", "path", "body"), PATHS)
async def test_another_persons_session_looks_exactly_like_an_unknown_one(
    client: httpx.AsyncClient, session_id: str, method: str, path: str, body: dict[str, str] | None
) -> None:
    answers = [
        await client.request(method, f"/api/chat/{path.format(id=name)}", json=body, headers=AS_BOB)
        for name in (session_id, "ses_" + "0" * 32, "..%2f1%2f" + session_id, "x" * 3000)
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert answers[0].content == answers[1].content
    assert (await client.get(f"/api/chat/history/{session_id}")).status_code == 200


async def test_others_find_nothing_in_their_lists(client: httpx.AsyncClient, session_id: str) -> None:
    assert (await client.get("/api/chat/sessions", headers=AS_BOB)).json()["sessions"] == []
    assert (await client.get("/api/chat/sessions/search?q=42", headers=AS_BOB)).json()["results"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"), [*PATHS, ("GET", "sessions", None), ("GET", "sessions/search?q=x", None)]
)
async def test_a_key_without_the_scope_is_refused_everywhere(
    client: httpx.AsyncClient, session_id: str, method: str, path: str, body: dict[str, str] | None
) -> None:
    url = f"/api/chat/{path.format(id=session_id)}"
    assert (await client.request(method, url, json=body, headers={"x-without": "sessions"})).status_code == 403


def test_no_endpoint_is_left_out_of_the_tables_above() -> None:
    served = {(method, route.path) for route in router.routes for method in route.methods}  # type: ignore[attr-defined]
    assert len(served) == 6
