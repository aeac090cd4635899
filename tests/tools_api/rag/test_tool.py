"""The tool `rag` as a model calls it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.tools_contract import ToolResult
from tests.tools_api.conftest import Serve
from tests.tools_api.rag.conftest import Person, ServedRag, ServeRag
from tests.tools_api.rag.planting import put
from tools_api.rag.parts import Parts
from tools_api.rag.retrieval import RagUnavailable, Retrieval
from tools_api.rag.tool import RagTool

HANDBOOK = [
    "Staff log in with their badge and a one-time code.",
    "Every employee gets 27 days of holiday a year.",
    "Staff park behind the building, visitors in the street.",
]


async def call(person: Person, name: str | None = "anna", **arguments: Any) -> ToolResult:
    body = {"arguments": arguments, **({"acting_for": name} if name else {})}
    status, answer = await person.ask("POST", "/v1/tools/rag/invoke", json=body)
    assert status == 200, answer
    return ToolResult.model_validate(answer)


async def library(rag: ServedRag) -> Person:
    """Anna has a handbook and notes about her garden."""
    anna = rag.person("anna")
    for name in ("handbook", "garden notes"):
        await anna.ask("POST", "/v1/rag/collections", json={"name": name, "description": f"The {name}"})
    _, listed = await anna.ask("GET", "/v1/rag/collections")
    ids = {one["name"]: one["id"] for one in listed["data"]}
    await put(rag, ids["handbook"], "handbook.pdf", HANDBOOK, page=12)
    await put(rag, ids["garden notes"], "garden/gate.md", ["The code of the garden gate is 5521."])
    return anna


async def test_the_plain_call_finds_passages_that_can_be_cited(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await library(rag)
        result = await call(anna, query="how many days of holiday")

    assert result.ok
    assert result.content.startswith("[1] handbook.pdf, p. 12, part ")
    assert "Every employee gets 27 days of holiday a year." in result.content
    best = result.sources[0]
    assert (best.title, bool(best.score)) == ("handbook.pdf, p. 12", True)
    assert best.snippet
    assert "27 days" in best.snippet
    assert best.url
    assert best.url.startswith("/v1/rag/collections/col_")
    assert "/content#page=12&char=" in best.url
    assert result.data["results"][0]["document"] == "handbook.pdf"


async def test_one_collection_is_named_in_any_case_and_an_unknown_one_is_answered_with_the_known(
    serve_rag: ServeRag,
) -> None:
    async with serve_rag() as rag:
        anna = await library(rag)
        narrowed = await call(anna, query="code", collection="Garden Notes")
        unknown = await call(anna, query="code", collection="cellar")

    assert {one["collection"] for one in narrowed.data["results"]} == {"garden notes"}
    assert unknown.error
    assert unknown.error.type == "collection_not_found"
    assert "garden notes, handbook" in unknown.error.message


async def test_exact_text_and_patterns_are_found(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await library(rag)
        literal = await call(anna, action="grep", query="GATE is 55")
        pattern = await call(anna, action="grep", query="", pattern=r"\d+ days")
        empty = await call(anna, action="grep", query="5521.", pattern="")
        dotted = await call(anna, action="grep", query="g.te", pattern="")
        nothing = await call(anna, action="grep", query="cathedral")
        broken = await call(anna, action="grep", query="", pattern="(")

    assert "The code of the garden gate is 5521." in literal.content
    assert pattern.data["results"][0]["text"] == "27 days"
    assert pattern.sources[0].title == "handbook.pdf, p. 12"
    assert empty.data["results"]
    assert '"g.te" does not occur' in dotted.content
    assert '"cathedral" does not occur' in nothing.content
    assert nothing.ok
    assert broken.error


async def test_a_document_is_read_in_order_by_its_name_or_its_last_part(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await library(rag)
        whole = await call(anna, action="read", query="handbook.pdf")
        around = await call(anna, action="read", query="", document="HANDBOOK.pdf", around=3)
        below = await call(anna, action="read", query="gate.md")
        missing = await call(anna, action="read", query="cellar.md")
        beyond = await call(anna, action="read", query="handbook.pdf", around=99)

    assert whole.content.startswith("handbook.pdf, parts 1 to 3 of 3. This is its end.")
    assert all(sentence in whole.content for sentence in HANDBOOK)
    assert around.content.startswith("handbook.pdf, parts 2 to 3 of 3.")
    assert "5521" in below.content
    assert missing.error
    assert '"cellar.md"' in missing.error.message
    assert '"list"' in missing.error.message
    assert beyond.error
    assert "has 3 parts" in beyond.error.message


async def test_what_there_is_is_listed(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await library(rag)
        listed = await call(anna, action="list", query="")

    assert "handbook (The handbook): handbook.pdf" in listed.content
    assert "garden notes (The garden notes): garden/gate.md" in listed.content


async def test_documents_that_are_still_read_are_mentioned_where_nothing_is_found(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await library(rag)
        async with rag.database.transaction() as db:
            await (await db.connection()).exec_driver_sql(
                "UPDATE rag_document SET state = 'embedding', indexed_sha256 = NULL WHERE name = 'garden/gate.md'"
            )
        result = await call(anna, action="grep", query="cathedral")

    assert "1 more document is still being read" in result.content


async def test_a_search_is_narrowed_to_one_document(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await library(rag)
        result = await call(anna, query="code", document="gate.md")

    assert {one["document"] for one in result.data["results"]} == {"garden/gate.md"}


async def test_who_has_nothing_is_told_so_and_sees_nothing_of_others(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        anna = await library(rag)
        for name in ("bert", None):
            result = await call(anna, name, query="holiday")
            assert result.ok
            assert result.content.startswith("There are no documents to search")
            assert result.sources == ()
        nameless = await call(anna, "an na", query="holiday")

    assert nameless.error


@pytest.mark.parametrize(
    "arguments", [{"query": " "}, {"query": "", "action": "grep"}, {"query": "", "action": "read"}]
)
async def test_a_call_without_the_words_that_it_needs_says_which(serve_rag: ServeRag, arguments: Any) -> None:
    async with serve_rag() as rag:
        result = await call(await library(rag), **arguments)

    assert result.error
    assert "argument" in result.error.message


async def test_where_retrieval_fails_the_tool_is_unavailable_and_the_others_are_not(serve: Serve) -> None:
    @asynccontextmanager
    async def fails() -> AsyncGenerator[Parts]:
        raise ModuleNotFoundError("No module named 'faiss'", name="faiss")
        yield  # pyright: ignore[reportUnreachable]

    retrieval = Retrieval(fails, retry_s=3600)
    with pytest.raises(RagUnavailable):
        await retrieval.parts()
    async with serve(RagTool(retrieval), rag=retrieval) as served:
        status, body = await served.invoke("rag", arguments={"query": "a"})
        async with served.client.get(f"{served.url}/health") as answer:
            health = await answer.json()
    await retrieval.aclose()

    assert (status, body["error"]["code"]) == (503, "rag_unavailable")
    assert "faiss is missing" in body["error"]["message"]
    assert (health["status"], health["tools"]) == ("degraded", {"rag": "unavailable"})
