"""Exact search: places with their lines, across chunks and collections, within its budgets."""

import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidRequest, Unavailable
from tests.tools_api.rag.search.conftest import Library, document
from tools_api.rag.search import running_text
from tools_api.rag.search.exact import ExactSearch
from tools_api.rag.search.exact_scan import Scan
from tools_api.rag.search.exact_values import ExactAnswer, ExactQuery
from tools_api.rag.search.pattern import compile_pattern
from tools_api.rag.values import StoredChunk

FOR_EVER = float("inf")


@pytest.fixture
def exact(library: Library) -> ExactSearch:
    return ExactSearch(library.indexes)


def spans(answer: ExactAnswer) -> list[tuple[str, int, int]]:
    return [(match.document.name, match.start, match.end) for match in answer.matches]


async def test_a_match_names_document_page_offsets_line_and_its_neighbours(
    library: Library, exact: ExactSearch
) -> None:
    text = "one\ntwo\nthree needle three\nfour\nfive\nsix"
    await library.put("col_a", document("a.pdf", "Before it.", text, "After it.", pages=[1, 2, 3], gap=2))
    answer = await exact.search(["col_a"], ExactQuery(pattern="needle"))
    match = answer.matches[0]
    assert (match.document.name, match.page, match.page_end, match.citation) == ("a.pdf", 2, 2, "a.pdf, p. 2")
    assert (match.start, match.end, match.text) == (26, 32, "needle")
    assert (match.before, match.line, match.after) == (["one", "two"], "three needle three", ["four", "five"])
    assert (answer.partial, answer.cursor, answer.documents) == (None, None, 1)


async def test_literals_are_literal_and_expressions_are_expressions(library: Library, exact: ExactSearch) -> None:
    await library.put("col_a", document("a.txt", "a.c abc A.C\nabc"))

    async def found(pattern: str, **more: bool) -> list[str]:
        return [match.text for match in (await exact.search(["col_a"], ExactQuery(pattern=pattern, **more))).matches]

    assert await found("a.c") == ["a.c"]
    assert await found("a.c", ignore_case=True) == ["a.c", "A.C"]
    assert await found("a.c", regex=True) == ["a.c", "abc", "abc"]
    assert await found("^abc$", regex=True) == ["abc"]
    assert await found(r"\babc\b", regex=True, ignore_case=True) == ["abc", "abc"]
    assert await found("x*", regex=True) == []


async def test_a_match_across_chunks_is_found_with_both_pages(library: Library, exact: ExactSearch) -> None:
    await library.put("col_a", document("a.pdf", "ends with red", "herring begins", pages=[4, 5]))
    answer = await exact.search(["col_a"], ExactQuery(pattern="red herring"))
    assert spans(answer) == [("a.pdf", 10, 21)]
    assert answer.matches[0].citation == "a.pdf, pp. 4–5"


async def test_a_match_never_spans_two_documents(library: Library, exact: ExactSearch) -> None:
    await library.put("col_a", document("a.txt", "red"), document("b.txt", "herring"))
    assert spans(await exact.search(["col_a"], ExactQuery(pattern=r"red\s*herring", regex=True))) == []


async def test_the_filter_and_the_order_of_collections_hold(library: Library, exact: ExactSearch) -> None:
    await library.put(
        "col_a", document("a.txt", "needle", metadata={"year": 1}), document("b.txt", "needle", metadata={"year": 2})
    )
    await library.put("col_b", document("c.txt", "needle needle", metadata={"year": 2}))
    answer = await exact.search(["col_b", "col_none", "col_a"], ExactQuery(pattern="needle", where={"year": 2}))
    assert spans(answer) == [("c.txt", 0, 6), ("c.txt", 7, 13), ("b.txt", 0, 6)]


async def test_the_cursor_goes_on_where_an_answer_stopped(library: Library, exact: ExactSearch) -> None:
    await library.put("col_a", document("a.txt", "x x x", "x x"), document("b.txt", "x"))
    await library.put("col_b", document("c.txt", "x x"))
    collections = ["col_a", "col_b"]
    everything = spans(await exact.search(collections, ExactQuery(pattern="x")))
    assert len(everything) == 8
    for limit in (1, 3):
        found: list[tuple[str, int, int]] = []
        cursor = None
        while True:
            answer = await exact.search(collections, ExactQuery(pattern="x", limit=limit, cursor=cursor))
            found += spans(answer)
            if (cursor := answer.cursor) is None:
                break
            assert answer.partial == "limit"
        assert found == everything


async def test_out_of_time_it_stops_and_can_go_on(library: Library) -> None:
    hurried = ExactSearch(library.indexes, budget_s=-1)
    await library.put("col_a", document("a.txt", "x x"), document("b.txt", "x"))
    found: list[tuple[str, int, int]] = []
    cursor = None
    for _ in range(10):
        answer = await hurried.search(["col_a"], ExactQuery(pattern="x", cursor=cursor))
        found += spans(answer)
        if (cursor := answer.cursor) is None:
            break
        assert answer.partial == "time"
    assert found == [("a.txt", 0, 1), ("a.txt", 2, 3), ("b.txt", 0, 1)]


async def test_who_would_wait_too_long_is_told_to_come_again(library: Library) -> None:
    exact = ExactSearch(library.indexes, patience_s=0.01)
    holding = [exact._turns.acquire() for _ in range(2)]  # pyright: ignore[reportPrivateUsage]
    await asyncio.gather(*holding)
    with pytest.raises(Unavailable) as caught:
        await exact.search(["col_a"], ExactQuery(pattern="x"))
    assert caught.value.retry_after


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (ExactQuery(pattern=""), "pattern"),
        (ExactQuery(pattern="x" * 1_001), "pattern"),
        (ExactQuery(pattern="(", regex=True), "pattern"),
        (ExactQuery(pattern=r"(a)\1", regex=True), "pattern"),
        (ExactQuery(pattern="a{1000}{1000}", regex=True), "pattern"),
        (ExactQuery(pattern="\ud800"), "pattern"),
        (ExactQuery(pattern="x", limit=0), "limit"),
        (ExactQuery(pattern="x", limit=1_001), "limit"),
        (ExactQuery(pattern="x", cursor="nonsense"), "cursor"),
        (ExactQuery(pattern="x", cursor="W10="), "cursor"),
        (ExactQuery(pattern="x", cursor="é"), "cursor"),
        (ExactQuery(pattern="x", cursor="WyJjb2xfYiIsMSwwXQ=="), "cursor"),  # ["col_b",1,0]: a collection not asked for
    ],
)
async def test_what_makes_no_sense_is_refused(exact: ExactSearch, query: ExactQuery, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await exact.search(["col_a"], query)
    assert caught.value.param == field


def chunks_of(*documents: tuple[str, list[str]]) -> list[StoredChunk]:
    made: list[StoredChunk] = []
    for name, texts in documents:
        put = document(name, *texts)
        made += [
            StoredChunk(chunk_id=len(made) + n + 1, document=put.record, chunk=c) for n, c in enumerate(put.chunks)
        ]
    return made


def scanned(pattern: str, chunks: list[StoredChunk], batch: int) -> list[tuple[int, int, str]]:
    scan = Scan(compile_pattern(pattern, regex=True, ignore_case=False), "col", None, FOR_EVER)
    found = [
        match
        for at in range(0, len(chunks), batch)
        for match in scan.feed(chunks[at : at + batch], last=False, limit=10**6)
    ]
    found += scan.feed([], last=True, limit=10**6)
    return [(match.start, match.end, match.text) for match in found]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.text(alphabet="ab é東", min_size=1, max_size=30), min_size=1, max_size=12),
    st.sampled_from(["ab", "a+", "é", r"\bab\b", "^a", "b$", "a b", "[^a]東", r"(a|b)\s(a|b)"]),
    st.integers(1, 5),
)
def test_what_is_found_in_pieces_is_what_is_found_in_the_whole(texts: list[str], pattern: str, batch: int) -> None:
    whole = " ".join(texts)
    expected = [(match.start(), match.end()) for match in re.finditer(pattern, whole, re.MULTILINE | re.ASCII)]
    assert [span[:2] for span in scanned(pattern, chunks_of(("a.txt", texts)), batch)] == expected


def test_a_long_document_is_looked_at_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of 200 characters instead of 256k: each chunk is one or two of them."""
    monkeypatch.setattr("tools_api.rag.search.exact_scan.WINDOW", 200)
    monkeypatch.setattr(running_text, "REACH", 50)
    texts = [f"{'filler ' * 17}needle{number} {'more ' * 10}nee" for number in range(60)]
    whole = " ".join(texts)
    expected = [(match.start(), match.end(), match[0]) for match in re.finditer(r"needle\d+|nee$|nee\sfiller", whole)]
    found = scanned(r"needle\d+|nee\z|nee\sfiller", chunks_of(("a.txt", texts)), 7)
    assert found == expected
    assert len(found) == 120


def test_a_very_long_line_is_cut_around_the_match() -> None:
    chunks = chunks_of(("a.txt", ["x" * 100_000 + "needle" + "y" * 100_000]))
    scan = Scan(compile_pattern("needle", regex=False, ignore_case=False), "col", None, FOR_EVER)
    match = scan.feed(chunks, last=True, limit=5)[0]
    assert "needle" in match.line
    assert len(match.line) < 400
    assert match.line.startswith("…x")
    assert match.line.endswith("y…")


def test_an_expression_that_is_quadratic_elsewhere_ends_when_its_time_is_up() -> None:
    chunks = chunks_of(("a.txt", ["x" * 200_000]))
    scan = Scan(compile_pattern(r"x[\s\S]*y|x", regex=True, ignore_case=False), "col", None, -1.0)
    assert len(scan.feed(chunks, last=True, limit=10**6)) == 1
    assert scan.out_of_time
