"""Search, exact search, reading on, export and status over HTTP, with documents planted behind them."""

import json
from collections.abc import AsyncGenerator

import pytest

from tests.tools_api.rag.conftest import ServeRag
from tests.tools_api.rag.planting import plant, put

NOTES = "/v1/rag/collections/notes"
PARKING = ("Staff park behind the building.", "Visitors park in the street.", "Bicycles stand in the cellar.")


async def test_a_hit_says_where_it_stands(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await plant(rag, "anna")
        document = await put(rag, anna.collection_id, "handbook.pdf", PARKING, page=12, metadata={"year": 2026})
        status, found = await anna.person.ask("POST", "/v1/rag/search", json={"query": "bicycles cellar", "top_k": 3})
        hit = found["data"][0]

    assert status == 200
    assert "Bicycles stand in the cellar." in hit["text"]
    assert (hit["collection"], hit["document"]["id"]) == ({"id": anna.collection_id, "name": "notes"}, document)
    assert (hit["document"]["name"], hit["document"]["metadata"]) == ("handbook.pdf", {"year": 2026})
    assert (hit["page"], hit["citation"], hit["headings"]) == (12, "handbook.pdf, p. 12", ["Canaries"])
    assert "\n".join(PARKING)[hit["start"] : hit["end"]] == hit["text"]
    assert 0 < hit["score"] <= 1
    assert hit["ranks"]["words"] == 1


@pytest.mark.parametrize("mode", ["hybrid", "dense", "words"])
async def test_filters_and_collections_bound_a_search(serve_rag: ServeRag, mode: str) -> None:
    async with serve_rag() as rag:
        anna = await plant(rag, "anna")
        await put(rag, anna.collection_id, "old.md", ["The gate code is 5521."], metadata={"year": 2020})
        new = await put(rag, anna.collection_id, "new.md", ["The gate code is 7733."], metadata={"year": 2026})
        body = {"query": "gate code", "mode": mode, "filter": {"year": {"$gte": 2025}, "name": {"$in": ["new.md"]}}}
        _, found = await anna.person.ask("POST", "/v1/rag/search", json=body)
        await anna.person.ask("POST", "/v1/rag/collections", json={"name": "empty"})
        _, nothing = await anna.person.ask("POST", "/v1/rag/search", json={"query": "gate", "collections": ["empty"]})

    assert [hit["document"]["id"] for hit in found["data"]] == [new]
    assert nothing["data"] == []


async def test_exact_search_goes_on_with_its_cursor(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await plant(rag, "anna")
        await put(rag, anna.collection_id, "codes.txt", [f"Error ERR-{number} means {number}." for number in range(5)])
        body = {"pattern": r"ERR-\d", "regex": True, "limit": 3}
        _, first = await anna.person.ask("POST", "/v1/rag/grep", json=body)
        _, second = await anna.person.ask("POST", "/v1/rag/grep", json={**body, "cursor": first["cursor"]})

    found = [match["text"] for match in first["data"] + second["data"]]
    assert found == [f"ERR-{number}" for number in range(5)]
    assert (first["partial"], second["partial"], second["cursor"]) == ("limit", None, None)
    assert "Error ERR-0 means 0." in first["data"][0]["line"]
    assert first["data"][0]["collection"] == {"id": anna.collection_id, "name": "notes"}


async def test_what_stands_around_a_passage_is_read_by_its_ordinal(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await plant(rag, "anna")
        document = await put(rag, anna.collection_id, "long.txt", [f"Sentence {number}." for number in range(9)])
        chunks = f"{NOTES}/documents/{document}/chunks"
        _, middle = await anna.person.ask("GET", f"{chunks}?around=4&before=1&after=2")
        _, end = await anna.person.ask("GET", f"{chunks}?around=8&before=0&after=5")
        _, by_name = await anna.person.ask("GET", f"{NOTES}/documents/long.txt/chunks")
        _, beyond = await anna.person.ask("GET", f"{chunks}?around=1000")
        missing, _ = await anna.person.ask("GET", f"{NOTES}/documents/short.txt/chunks")

    assert [chunk["text"] for chunk in middle["data"]] == [f"Sentence {number}." for number in (3, 4, 5, 6)]
    assert (middle["total"], middle["has_more"], end["has_more"]) == (9, True, False)
    assert [chunk["ordinal"] for chunk in end["data"]] == [8]
    assert [chunk["ordinal"] for chunk in by_name["data"]] == [0, 1, 2]
    assert beyond["data"] == []
    assert missing == 404


async def test_a_name_that_two_documents_end_with_is_not_guessed(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await plant(rag, "anna")
        first, second = [
            await put(rag, anna.collection_id, f"{name}/readme.md", [f"About {name}."]) for name in ("a", "b")
        ]
        status, answer = await anna.person.ask("GET", f"{NOTES}/documents/readme.md/chunks")
        await anna.person.ask("DELETE", f"{NOTES}/documents/{first}")
        only, _ = await anna.person.ask("GET", f"{NOTES}/documents/readme.md/chunks")

    assert (status, answer["error"]["code"], only) == (409, "ambiguous_document", 200)
    assert first in answer["error"]["message"]
    assert second in answer["error"]["message"]


async def test_an_export_has_every_passage_once(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await plant(rag, "anna")
        document = await put(rag, anna.collection_id, "long.txt", [f"Sentence {number}." for number in range(600)])
        async with anna.person.client.get(f"{rag.url}{NOTES}/export?vectors=true") as answer:
            rows = [json.loads(line) for line in (await answer.text()).splitlines()]

    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="notes.jsonl"'
    own = [row for row in rows if row["document"]["id"] == document]
    assert [row["text"] for row in own] == [f"Sentence {number}." for number in range(600)]
    assert len(rows) == 600 + 2 * len(anna.documents)
    assert all(len(row["vector"]) == rag.encoder.dimensions for row in rows)


async def test_a_download_that_nobody_finishes_leaves_nothing_open(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await plant(rag, "anna")
        await put(rag, anna.collection_id, "long.txt", [f"Sentence {number}. " * 50 for number in range(2000)])
        async with anna.person.client.get(f"{rag.url}{NOTES}/export?vectors=true") as answer:
            await answer.content.readany()
            answer.close()
        gone, _ = await anna.person.ask("DELETE", NOTES)  # waits for those who read the files

    assert gone == 200


@pytest.mark.parametrize("removed", [True, False])
async def test_an_upload_into_a_collection_that_goes_meanwhile_is_refused(serve_rag: ServeRag, removed: bool) -> None:
    head = b'--b\r\ncontent-disposition: form-data; name="file"; filename="late.txt"\r\n\r\n'

    async with serve_rag() as rag:
        anna = rag.person("anna")
        await anna.ask("POST", "/v1/rag/collections", json={"name": "notes"})

        async def form() -> AsyncGenerator[bytes]:
            yield head + b"too "
            if removed:
                await anna.ask("DELETE", NOTES)
            yield b"late\r\n--b--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        status, answer = await anna.ask("POST", f"{NOTES}/documents", data=form(), headers=headers)

    if removed:
        assert (status, answer["error"]["code"]) == (404, "collection_not_found")
    else:
        assert (status, answer["documents"][0]["name"]) == (202, "late.txt")


async def test_how_things_stand(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await plant(rag, "anna")
        _, status = await anna.person.ask("GET", "/v1/rag/status")
        _, nobody = await rag.person("bert").ask("GET", "/v1/rag/status")

    assert (status["state"], status["encoder"]["state"], status["encoder"]["model"]) == (
        "ready",
        "ready",
        "hashed-words",
    )
    assert (status["collections"], status["documents"], status["chunks"]) == (1, 2, 4)
    assert (nobody["collections"], nobody["documents"]) == (0, 0)


BAD = [
    ("/v1/rag/search", {}),
    ("/v1/rag/search", {"query": "  "}),
    ("/v1/rag/search", {"query": "a", "top_k": 0}),
    ("/v1/rag/search", {"query": "a", "top_k": 101}),
    ("/v1/rag/search", {"query": "ab " * 1334}),
    ("/v1/rag/search", {"query": "a", "mode": "magic"}),
    ("/v1/rag/search", {"query": "a", "collections": []}),
    ("/v1/rag/search", {"query": "a", "filter": {"$nor": []}}),
    ("/v1/rag/search", {"query": "a", "filter": {"a": {"$regex": "."}}}),
    ("/v1/rag/search", {"query": "a", "rerank": True}),
    ("/v1/rag/grep", {"pattern": ""}),
    ("/v1/rag/grep", {"pattern": "(", "regex": True}),
    ("/v1/rag/grep", {"pattern": "a", "cursor": "nonsense"}),
]


async def test_what_is_wrong_with_a_question_is_said(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await plant(rag, "anna")
        for path, body in BAD:
            status, answer = await anna.person.ask("POST", path, json=body)
            assert (status, bool(answer["error"]["message"])) == (400, True), (path, body, answer)
        unknown, answer = await anna.person.ask("POST", "/v1/rag/search", json={"query": "a", "collections": ["none"]})

    assert (unknown, answer["error"]["code"]) == (404, "collection_not_found")
