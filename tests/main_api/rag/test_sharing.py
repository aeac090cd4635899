"""Sharing by user name: people write and read names, the tools API words that say nothing of them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from main_api.auth.principal import person_word, user_id_in
from tests.main_api.rag.conftest import Rag
from tests.main_api.served.platform import Platform

on_the_real_app = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("word", ["", "user-", "7", "user-x", "user-²", "user--1", "person-7", f"user-{10**30}", "*"])
def test_what_is_no_word_for_an_account_names_none(word: str) -> None:
    assert user_id_in(word) is None


def test_a_word_names_one_account() -> None:
    assert user_id_in(person_word(42)) == 42
    assert person_word(4) != person_word(42)


class Grants:
    """The tools API's paths of grants, over a dictionary."""

    def __init__(self) -> None:
        self.by_person: dict[str, str] = {}

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            data = [_grant(person, role) for person, role in self.by_person.items()]
            return web.json_response({"object": "list", "data": data, "has_more": False, "last_id": "user-1"})
        if request.method == "POST":
            body = await request.json()
            self.by_person[body["person"]] = body["role"]
            return web.json_response(_grant(**body), status=201)
        person = request.path.rpartition("/")[2]
        if self.by_person.pop(person, None) is None:
            error = {"message": "The collection is not shared with this person.", "code": "not_found"}
            return web.json_response({"error": error}, status=404)
        return web.json_response({"person": person, "object": "grant.deleted", "deleted": True})


def _grant(person: str, role: str) -> dict[str, Any]:
    return {"object": "grant", "person": person, "role": role}


class TestOnTheRealApp:
    pytestmark = on_the_real_app

    @pytest_asyncio.fixture(loop_scope="session")
    async def grants(self, rag: Rag) -> AsyncIterator[Grants]:
        grants = Grants()
        rag.does(grants)
        yield grants

    async def test_a_collection_is_shared_listed_and_taken_away_by_name(self, served: Platform, grants: Grants) -> None:
        path = "/v1/rag/collections/handbook/grants"
        shared = await served.call("POST", path, {"user": "EVE", "role": "writer"}, key=served.person)
        assert (shared.status, shared.body) == (201, {"object": "grant", "user": "eve", "role": "writer"})
        (word,) = grants.by_person
        assert "eve" not in word
        everyone = await served.call("POST", path, {"user": "*"}, key=served.program)
        assert everyone.body == {"object": "grant", "user": "*", "role": "reader"}

        listed = await served.call("GET", path, key=served.person)
        assert [(grant["user"], grant["role"]) for grant in listed.body["data"]] == [("eve", "writer"), ("*", "reader")]
        assert word.encode() not in listed.raw

        gone = await served.call("DELETE", f"{path}/eve", key=served.person)
        assert gone.body == {"object": "grant.deleted", "user": "eve", "deleted": True}
        assert (await served.call("DELETE", f"{path}/*", key=served.person)).status == 200
        assert grants.by_person == {}
        assert (await served.call("DELETE", f"{path}/eve", key=served.person)).status == 404

    async def test_nobody_can_be_named_but_by_a_name(self, served: Platform, grants: Grants) -> None:
        path = "/v1/rag/collections/handbook/grants"
        for nobody in ("nobody", "user-1", "../eve", "e\u00ffe", "*x"):
            refused = await served.call("POST", path, {"user": nobody}, key=served.person)
            assert refused.status == 404, refused.raw
            assert "There is no user" in refused.error["message"]
        assert (await served.call("DELETE", f"{path}/nobody", key=served.person)).status == 404
        assert (await served.call("POST", path, {"user": "ada"}, key=served.person)).status == 400
        for wrong in (
            {},
            {"user": ""},
            {"user": 5},
            {"user": "eve", "role": "owner"},
            {"user": "eve", "person": "user-1"},
        ):
            assert (await served.call("POST", path, wrong, key=served.person)).status == 400
        assert grants.by_person == {}

    async def test_a_grant_to_an_account_that_is_gone_is_not_shown(self, served: Platform, grants: Grants) -> None:
        grants.by_person = {"user-999999": "reader", "somebody": "reader"}
        listed = await served.call("GET", "/v1/rag/collections/handbook/grants", key=served.person)
        assert (listed.status, listed.body["data"], listed.body["last_id"]) == (200, [], None)

    async def test_collections_name_their_owners(self, served: Platform, rag: Rag) -> None:
        ids = {
            key: (await served.call("GET", "/api/auth/me", key=getattr(served, key))).body["data"]["id"]
            for key in ("person", "stranger")
        }
        mine = {"id": "col_1", "owner": person_word(ids["person"]), "role": "owner"}
        hers = {"id": "col_2", "owner": person_word(ids["stranger"]), "role": "reader"}
        rag.answers(
            {"object": "list", "data": [mine, hers, {"id": "col_3", "owner": "user-999999"}], "has_more": False}
        )
        listed = await served.call("GET", "/v1/rag/collections", key=served.person)
        assert [one["owner"] for one in listed.body["data"]] == ["ada", "eve", None]

        rag.answers(mine, status=201)
        made = await served.call("POST", "/v1/rag/collections", {"name": "handbook"}, key=served.person)
        assert (made.status, made.body) == (201, {**mine, "owner": "ada"})
        rag.answers(hers)
        for method, path in (("GET", "/col_2"), ("PATCH", "/col_2")):
            found = await served.call(method, f"/v1/rag/collections{path}", {}, key=served.person)
            assert (found.status, found.body["owner"]) == (200, "eve")
