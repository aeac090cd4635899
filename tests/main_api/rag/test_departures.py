"""An account that goes takes its collections along, also when the tools API was away at that moment."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from sqlmodel import select

from main_api.auth.principal import person_word
from main_api.auth.service import AuthOptions, AuthService, NewAccount
from main_api.db import Database
from main_api.rag.client import RagClient
from main_api.rag.departures import Departures
from main_api.rag.tables import DepartedPerson
from shared.http_client import create_http_session
from tests.main_api.toolbox.server import ToolsServer, running


class Collections:
    """The tools API's collections of everyone: `owned` by person; all people see the `shared` ones."""

    def __init__(self) -> None:
        self.owned: dict[str, list[str]] = {}
        self.shared = ["col_shared"]
        self.failing = False
        self.breaks_off = False

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if self.failing:
            return web.json_response({"error": {"message": "starting", "code": "rag_unavailable"}}, status=503)
        if self.breaks_off:
            return await _half_an_answer(request)
        mine = self.owned.get(request.headers["x-acting-for"], [])
        if request.method == "DELETE":
            name = request.path.rpartition("/")[2]
            if name not in mine:
                return web.json_response({"error": {"message": "There is none.", "code": "not_found"}}, status=404)
            mine.remove(name)
            return web.json_response({"deleted": True})
        return web.json_response(self._page(mine, request.query))

    def _page(self, mine: list[str], query: Any) -> dict[str, Any]:
        everything = [*self.shared, *mine]
        start = everything.index(query["after"]) + 1 if "after" in query else 0
        page = everything[start : start + 2]  # the server decides how long a page is
        data = [{"id": name, "role": "owner" if name in mine else "reader"} for name in page]
        return {"data": data, "has_more": start + 2 < len(everything), "last_id": page[-1] if page else None}


async def _half_an_answer(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "100"})
    await response.prepare(request)
    await response.write(b'{"data": [')
    assert request.transport is not None
    request.transport.abort()
    return response


@pytest.fixture
async def server() -> AsyncIterator[ToolsServer]:
    async with running() as (server, _):
        yield server


@pytest.fixture
def collections(server: ToolsServer) -> Collections:
    server.on_rag = found = Collections()
    return found


@pytest.fixture
async def auth(db: Database) -> AuthService:
    return AuthService(db, options=AuthOptions(jwt_secret="x" * 32, pepper="y" * 32, bcrypt_rounds=4))


@pytest.fixture
async def departures(db: Database, auth: AuthService, server: ToolsServer) -> AsyncIterator[Departures]:
    async with create_http_session() as http:
        yield Departures(db, RagClient(base_url=server.url, api_key="k" * 32, session=http), auth)


async def account(auth: AuthService, collections: Collections, name: str) -> int:
    user_id = (await auth.create_user(NewAccount(username=name, password="password123"))).id
    collections.owned[person_word(user_id)] = [f"col_{name}_{number}" for number in range(5)]
    return user_id


async def waiting(db: Database) -> list[int]:
    async with db.session() as session:
        return [one.user_id for one in (await session.exec(select(DepartedPerson))).all()]


async def age(db: Database, **by: float) -> None:
    async with db.transaction() as session:
        for one in (await session.exec(select(DepartedPerson))).all():
            one.left_at = datetime.now(UTC) - timedelta(**by)


async def test_all_that_an_account_owns_goes_and_nothing_else(
    db: Database, auth: AuthService, departures: Departures, collections: Collections
) -> None:
    ada, eve = [await account(auth, collections, name) for name in ("ada", "eve")]
    await departures.note(ada)
    await auth.delete_user("ada")

    assert await departures.settle() is True
    assert collections.owned == {person_word(ada): [], person_word(eve): [f"col_eve_{n}" for n in range(5)]}
    assert collections.shared == ["col_shared"]


async def test_while_the_tools_api_is_away_it_waits(
    db: Database, auth: AuthService, departures: Departures, collections: Collections
) -> None:
    ada = await account(auth, collections, "ada")
    await departures.note(ada)
    await auth.delete_user("ada")
    collections.failing = True
    await age(db, days=400)
    assert await departures.settle() is False
    assert await waiting(db) == [ada]

    collections.failing = False
    assert await departures.settle() is True
    assert collections.owned == {person_word(ada): []}
    assert await waiting(db) == []


async def test_an_answer_that_breaks_off_is_not_taken_for_an_account_without_documents(
    db: Database, auth: AuthService, departures: Departures, collections: Collections
) -> None:
    ada = await account(auth, collections, "ada")
    await departures.note(ada)
    await auth.delete_user("ada")
    collections.breaks_off = True
    await age(db, minutes=3)
    assert await departures.settle() is False
    assert await waiting(db) == [ada]


async def test_what_a_last_token_made_is_found_by_the_last_look(
    db: Database, auth: AuthService, departures: Departures, collections: Collections
) -> None:
    ada = await account(auth, collections, "ada")
    await departures.note(ada)
    await auth.delete_user("ada")
    await departures.settle()
    assert await waiting(db) == [ada]
    collections.owned[person_word(ada)] = ["col_late"]

    await age(db, minutes=3)
    await departures.settle()
    assert (collections.owned[person_word(ada)], await waiting(db)) == ([], [])


async def test_nothing_goes_while_the_account_exists(
    db: Database, auth: AuthService, departures: Departures, collections: Collections
) -> None:
    ada = await account(auth, collections, "ada")
    await departures.note(ada)  # and then the deletion was killed

    assert await departures.settle() is True
    await age(db, hours=25)
    await departures.settle()
    assert len(collections.owned[person_word(ada)]) == 5
    assert await waiting(db) == []
