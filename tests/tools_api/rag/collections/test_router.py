"""Collections and grants over HTTP, for the people of two services."""

from typing import Any

import pytest

from tests.tools_api.conftest import Serve
from tests.tools_api.rag.conftest import ServeRag

COLLECTIONS = "/v1/rag/collections"


async def test_a_collection_is_made_listed_changed_and_removed(serve_rag: ServeRag) -> None:
    async with serve_rag(index_type="IVF") as rag:
        anna = rag.person("anna")
        status, made = await anna.ask("POST", COLLECTIONS, json={"name": " Hand bücher ", "metadata": {"year": 2026}})
        _, listed = await anna.ask("GET", COLLECTIONS)
        _, by_name = await anna.ask("GET", f"{COLLECTIONS}/Hand%20b%C3%BCcher")
        changed_status, changed = await anna.ask("PATCH", f"{COLLECTIONS}/{made['id']}", json={"name": "books"})
        gone = await anna.ask("DELETE", f"{COLLECTIONS}/books")
        after, _ = await anna.ask("GET", f"{COLLECTIONS}/{made['id']}")

    assert (status, changed_status, after) == (201, 200, 404)
    assert listed == {"object": "list", "data": [made], "has_more": False, "last_id": made["id"]}
    assert by_name == made
    assert (made["name"], made["owner"], made["role"], made["index_type"]) == ("Hand bücher", "anna", "owner", "IVF")
    assert made["documents"] == {"total": 0, "indexed": 0, "pending": 0, "failed": 0}
    assert (changed["name"], changed["metadata"]) == ("books", {"year": 2026})
    assert gone == (200, {"id": made["id"], "object": "collection.deleted", "deleted": True})


async def test_others_do_not_know_of_it_until_it_is_shared(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna, bert, service = rag.person("anna"), rag.person("bert"), rag.person(None)
        strangers = [
            bert,
            service,
            rag.other_service("anna"),
            rag.other_service(),
            rag.person("annä"),
            rag.person("An"),
        ]
        _, made = await anna.ask("POST", COLLECTIONS, json={"name": "notes"})
        for stranger in strangers:
            for reference in ("notes", made["id"]):
                for method, path, more in (
                    ("GET", "", {}),
                    ("PATCH", "", {"json": {"name": "mine"}}),
                    ("DELETE", "", {}),
                    ("GET", "/grants", {}),
                    ("POST", "/grants", {"json": {"person": "bert"}}),
                    ("DELETE", "/grants/anna", {}),
                ):
                    status, body = await stranger.ask(method, f"{COLLECTIONS}/{reference}{path}", **more)
                    assert (status, body["error"]["code"]) == (404, "collection_not_found")
            assert (await stranger.ask("GET", COLLECTIONS))[1]["data"] == []

        shared = await anna.ask("POST", f"{COLLECTIONS}/notes/grants", json={"person": "bert"})
        _, seen = await bert.ask("GET", f"{COLLECTIONS}/notes")
        refused, _ = await bert.ask("DELETE", f"{COLLECTIONS}/notes")
        _, grants = await anna.ask("GET", f"{COLLECTIONS}/notes/grants")
        await anna.ask("DELETE", f"{COLLECTIONS}/notes/grants/bert")
        revoked, _ = await bert.ask("GET", f"{COLLECTIONS}/notes")

    assert shared == (201, {"object": "grant", "person": "bert", "role": "reader"})
    assert (seen["id"], seen["owner"], seen["role"]) == (made["id"], "anna", "reader")
    assert [grant["person"] for grant in grants["data"]] == ["bert"]
    assert (refused, revoked) == (403, 404)


async def test_a_name_beyond_ascii_is_one_person_in_the_header(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        await rag.person("zoë").ask("POST", COLLECTIONS, json={"name": "notes"})
        _, mine = await rag.person("zoë").ask("GET", COLLECTIONS)
        _, not_mine = await rag.person("zoe\u0308").ask("GET", COLLECTIONS)

    assert [one["owner"] for one in mine["data"]] == ["zoë"]
    assert not_mine["data"] == []


@pytest.mark.parametrize("person", ["", "a b", "a" * 129, "*", "a\u200bb", "\u202e", "a\u00a0b"])
async def test_a_person_is_named_by_visible_characters(serve_rag: ServeRag, person: str) -> None:
    async with serve_rag() as rag:
        status, body = await rag.person(person).ask("GET", COLLECTIONS)

    assert (status, body["error"]["param"]) == (400, "X-Acting-For")


async def test_two_persons_in_one_request_are_none(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        asking = rag.person(None)
        status, _ = await asking.ask("GET", COLLECTIONS, headers=[("X-Acting-For", "anna"), ("X-Acting-For", "bert")])

    assert status == 400


BAD: list[tuple[str, Any]] = [
    ("name", {}),
    ("name", {"name": ""}),
    ("name", {"name": "a/b"}),
    ("name", {"name": "a\0b"}),
    ("name", {"name": ".."}),
    ("name", {"name": "n" * 101}),
    ("name", {"name": "col_" + "0" * 32}),
    ("name", {"name": 1}),
    ("index_type", {"name": "a", "index_type": "LSH"}),
    ("chunk_tokens", {"name": "a", "chunk_tokens": 1}),
    ("chunk_tokens", {"name": "a", "chunk_tokens": True}),
    ("description", {"name": "a", "description": "d" * 2001}),
    ("description", {"name": "a", "description": "\0"}),
    ("metadata", {"name": "a", "metadata": {"k": "v" * 20_000}}),
    ("metadata", {"name": "a", "metadata": {"k": "\0"}}),
    ("metadata", {"name": "a", "metadata": [1]}),
    ("owner", {"name": "a", "owner": "bert"}),
]


async def test_what_is_wrong_is_named_and_nothing_is_made(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = rag.person("anna")
        for field, body in BAD:
            status, answer = await anna.ask("POST", COLLECTIONS, json=body)
            assert (status, answer["error"]["param"]) == (400, field), (body, answer)
        for query in ("limit=0", "limit=101", "limit=x", "after=nothing"):
            status, _ = await anna.ask("GET", f"{COLLECTIONS}?{query}")
            assert status == 400
        _, listed = await anna.ask("GET", COLLECTIONS)

    assert listed["data"] == []


async def test_one_owner_has_so_many_collections(serve_rag: ServeRag) -> None:
    async with serve_rag(collections_per_owner=1) as rag:
        anna = rag.person("anna")
        await anna.ask("POST", COLLECTIONS, json={"name": "a"})
        status, body = await anna.ask("POST", COLLECTIONS, json={"name": "b"})
        twice, _ = await anna.ask("POST", COLLECTIONS, json={"name": "a"})

    assert (status, body["error"]["code"], twice) == (409, "too_many_collections", 409)


async def test_where_retrieval_is_off_its_paths_say_so(serve: Serve) -> None:
    async with serve() as served, served.client.get(f"{served.url}{COLLECTIONS}") as answer:
        body = await answer.json()

    assert (answer.status, body["error"]["code"]) == (503, "rag_unavailable")
