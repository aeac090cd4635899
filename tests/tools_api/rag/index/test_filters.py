"""The language of conditions: what it means, what it refuses, and that no value or name ever becomes SQL."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidRequest
from tests.tools_api.rag.index.conftest import document
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.filters import MAX_CONDITIONS, MAX_DEPTH, MAX_TEXT, MAX_VALUES, compile_filter
from tools_api.rag.index.values import DocumentToPut
from tools_api.rag.values import DocumentRecord, Filter

_ALL_WHERE = "SELECT d.id FROM document d WHERE "
FIELDS = ("a", "b c", "é", "name", "media_type", "document_id")
HOSTILE = ("x' OR 1=1 --", "$.a", "%", "_", "?", ":a", "]", "\u0130", "\0", "a", "")


# The same language, evaluated by hand.


def holds(where: Filter, record: DocumentRecord) -> bool:
    return all(_entry(key, value, record) for key, value in where.items())


def _entry(key: str, value: Any, record: DocumentRecord) -> bool:
    match key:
        case "$and":
            return all(holds(part, record) for part in value)
        case "$or":
            return any(holds(part, record) for part in value)
        case "$not":
            return not holds(value, record)
        case _:
            elements = _elements(key, record)
            conditions = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {"$eq": value}
            return all(_compared(name, operand, elements) for name, operand in conditions.items())


def _elements(field: str, record: DocumentRecord) -> list[Any] | None:
    """The values of a field; None for one that is missing."""
    columns = {"name": record.name, "media_type": record.media_type, "document_id": record.id}
    value = columns.get(field, record.metadata.get(field))
    if value is None:
        return None
    if isinstance(value, list):
        return cast("list[Any]", value)
    return [] if isinstance(value, dict) else [value]


def _kind(value: Any) -> str:
    return "boolean" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def _compared(operator: str, operand: Any, elements: list[Any] | None) -> bool:
    def any_of(test: Any, values: Sequence[Any]) -> bool:
        return any(
            _kind(element) == _kind(value) and test(element, value)
            for element in elements or []
            if isinstance(element, str | int | float)
            for value in values
        )

    def ordered(test: Any) -> bool:
        return not isinstance(operand, bool) and any_of(test, [operand])

    match operator:
        case "$exists":
            return (elements is not None) == operand
        case "$eq" | "$in":
            return any_of(lambda x, y: x == y, operand if operator == "$in" else [operand])
        case "$ne" | "$nin":
            return not any_of(lambda x, y: x == y, operand if operator == "$nin" else [operand])
        case "$gt":
            return ordered(lambda x, y: x > y)
        case "$gte":
            return ordered(lambda x, y: x >= y)
        case "$lt":
            return ordered(lambda x, y: x < y)
        case _:
            return ordered(lambda x, y: x <= y)


# Generated conditions and documents, of few names and values, so that they meet.

scalars = st.one_of(
    st.sampled_from(HOSTILE),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, -1.0, 2.0, 2**53 + 1, -(2**63), 2**63 - 1]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
)
strings = st.one_of(st.sampled_from(["n1.txt", "n2.txt", "doc_n1", "text/plain", *HOSTILE]), st.text("ab", max_size=2))


def _condition_on(field: str) -> st.SearchStrategy[dict[str, Any]]:
    values: st.SearchStrategy[Any] = scalars if field in FIELDS[:3] else strings
    operators: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"], values),
        "$in": st.lists(values, max_size=4),
        "$nin": st.lists(values, max_size=4),
        "$exists": st.booleans(),
    }
    one = st.sampled_from(sorted(operators)).flatmap(lambda name: st.fixed_dictionaries({name: operators[name]}))
    two = st.builds(lambda left, right: {**left, **right}, one, one)
    return st.one_of(values, one, two).map(lambda value: {field: value})


leaves = st.sampled_from(FIELDS).flatmap(_condition_on)
filters = st.recursive(
    st.one_of(leaves, st.just({})),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$and": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"$or": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"$not": inner}),
        st.builds(lambda left, right: {**left, **right}, inner, inner),
    ),
    max_leaves=6,
)
metadata = st.dictionaries(
    st.sampled_from(["a", "b c", "é", "name"]),
    st.one_of(scalars, st.lists(scalars, max_size=3), st.none(), st.just({"a": 1, "x": "a"})),
    max_size=4,
)


def _depth(where: Any) -> int:
    if isinstance(where, dict):
        return max((_depth(part) + (key in {"$and", "$or", "$not"}) for key, part in where.items()), default=1)
    return max(map(_depth, where), default=1) if isinstance(where, list) else 1


@settings(max_examples=120, deadline=None)
@given(where=filters.filter(lambda where: _depth(where) <= MAX_DEPTH), contents=st.lists(metadata, max_size=4))
def test_sql_and_plain_python_agree(where: dict[str, Any], contents: list[dict[str, Any]]) -> None:
    records = [document(f"n{number}", 1, metadata=each).record for number, each in enumerate(contents)]
    condition = compile_filter(where)
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE document (id, name, media_type, created_at, metadata)")
        rows = [(each.id, each.name, each.media_type, "", orjson.dumps(each.metadata).decode()) for each in records]
        db.executemany("INSERT INTO document VALUES (?, ?, ?, ?, ?)", rows)
        found = {row[0] for row in db.execute(_ALL_WHERE + condition.sql, condition.values)}

    assert found == {each.id for each in records if holds(where, each)}


@settings(max_examples=60, deadline=None)
@given(where=filters.filter(lambda where: _depth(where) <= MAX_DEPTH))
def test_no_value_and_no_name_is_part_of_the_sql(where: dict[str, Any]) -> None:
    sql = compile_filter(where).sql

    assert sql.count("?") == len(compile_filter(where).values)
    for word in ("OR 1=1", '"', "b c", "é", "n1.txt", "--", ";"):
        assert word not in sql


@pytest.mark.parametrize(
    "where",
    [
        [],
        "a = 1",
        {"a": None},
        {"a": {}},
        {"a": {"$regex": "x"}},
        {"a": {"eq": 1}},
        {"a": [1]},
        {"a": {"$in": 1}},
        {"a": {"$in": [None]}},
        {"a": {"$in": [[1]]}},
        {"a": {"$exists": 1}},
        {"a": {"$gt": {"$gt": 1}}},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": 2**63},
        {"a": "\ud800"},
        {"\ud800": 1},
        {"a": "x" * (MAX_TEXT + 1)},
        {"": 1},
        {'a"b': 1},
        {"a\\b": 1},
        {"a\nb": 1},
        {"a\0b": 1},
        {"x" * 1000: 1},
        {1: 1},
        {"$where": "1"},
        {"$and": {}},
        {"$and": []},
        {"$or": [1]},
        {"$not": [1]},
        {"name": 1},
        {"created_at": "soon"},
        {"created_at": 3},
        {"a": {"$in": [1] * (MAX_VALUES + 1)}},
        {"$and": [{"a": 1}] * (MAX_CONDITIONS + 1)},
        {str(number): 1 for number in range(MAX_CONDITIONS + 1)},
    ],
)
def test_anything_else_is_refused_in_words(where: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        compile_filter(where)

    assert refused.value.param == "filter"
    assert len(refused.value.message) < 600
    assert refused.value.message.startswith("filter")


def test_deep_conditions_are_refused_before_they_are_followed() -> None:
    where: dict[str, Any] = {"a": 1}
    for _ in range(100_000):
        where = {"$not": where}

    with pytest.raises(InvalidRequest, match="nested deeper"):
        compile_filter(where)
    while "$not" in where:
        where = where["$not"]  # taken apart from outside: deep nests are not freed by recursion


def test_the_most_that_is_allowed_is_no_problem_for_sqlite() -> None:
    where = {"a": {"$in": [f"v{number}" for number in range(MAX_VALUES - MAX_CONDITIONS)]}}
    many = {"$or": [{"a": number} for number in range(MAX_CONDITIONS - 2)]}
    for each in (where, many):
        condition = compile_filter(each)
        with closing(sqlite3.connect(":memory:")) as db:
            db.execute("CREATE TABLE document (id, name, media_type, created_at, metadata)")
            db.execute(
                "INSERT INTO document VALUES ('x', '', '', '', '{\"a\": \"v7\"}'), ('y', '', '', '', '{\"a\": 7}')"
            )
            rows = db.execute(_ALL_WHERE + condition.sql, condition.values).fetchall()
        assert len(rows) == 1


async def test_a_search_keeps_to_the_condition(index: CollectionIndex) -> None:
    papers = [document(f"n{year}", 2, metadata={"year": year, "tags": ["x", str(year)]}) for year in range(1990, 2000)]
    await index.put_many(papers)

    dense = await index.search_dense(papers[0].vectors[0], 100, {"year": {"$gte": 1998}})
    words = await index.search_words("text", 100, {"tags": "1998"})
    neither = await index.search_dense(papers[0].vectors[0], 100, {"year": 1990}, documents=["doc_n1991"])

    assert {each.document.id for each in await index.chunks([hit.chunk_id for hit in dense])} == {
        "doc_n1998",
        "doc_n1999",
    }
    assert {each.document.id for each in await index.chunks([hit.chunk_id for hit in words])} == {"doc_n1998"}
    assert neither == []


async def test_a_repeated_condition_sees_what_changed(index: CollectionIndex) -> None:
    await index.put_many([document("a", metadata={"lang": "en"}), document("b", metadata={"lang": "de"})])
    query = document("a").vectors[0]

    assert len(await index.search_dense(query, 10, {"lang": "en"})) == 2
    await index.put_many([document("c", metadata={"lang": "en"})])
    assert len(await index.search_dense(query, 10, {"lang": "en"})) == 4
    await index.delete(["doc_a"])
    assert len(await index.search_dense(query, 10, {"lang": "en"})) == 2


async def test_moments_are_compared_as_moments(index: CollectionIndex) -> None:
    item = document("a")
    record = DocumentRecord(
        id="doc_a", name="a", media_type="text/plain", sha256="", created_at=datetime(2026, 3, 31, 12, tzinfo=UTC)
    )
    await index.put_many([DocumentToPut(record, item.chunks, item.vectors)])

    async def count(condition: Any) -> int:
        return len(await index.search_dense(item.vectors[0], 10, {"created_at": condition}))

    assert await count({"$gte": "2026-03-31"}) == 2
    assert await count({"$lt": "2026-03-31T14:00:01+02:00"}) == 2
    assert await count({"$lt": "2026-03-31T14:00:00+02:00"}) == 0
    assert await count("2026-03-31T12:00:00Z") == 2


async def test_ids_of_documents_are_values_too(index: CollectionIndex, tmp_path: Path) -> None:
    await index.put_many([document("a")])

    assert await index.search_dense(document("a").vectors[0], 5, documents=["' OR 1=1 --", '"]', "doc_a' --"]) == []
    assert len(await index.search_dense(document("a").vectors[0], 5, documents=["doc_a", "doc_a"])) == 2
    with pytest.raises(InvalidRequest):
        await index.search_dense(document("a").vectors[0], 5, documents=["x"] * 10_001)
    with pytest.raises(InvalidRequest):
        await index.search_dense(document("a").vectors[0], 5, documents=["\ud800"])


async def test_documents_that_came_before_a_rest_are_found_after_it(index: CollectionIndex) -> None:
    where = {"team": "a"}
    await index.put_many([document("one", metadata=where)])
    await index.rest()
    assert len(await index.search_words("part", 10, where)) == 2
    await index.put_many([document("two", metadata=where)])
    await index.rest()

    words = await index.search_words("part", 10, where)
    dense = await index.search_dense(document("two").vectors[0], 10, where)

    assert len(words) == len(dense) == 4
