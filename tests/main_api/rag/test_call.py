"""What of a person's call reaches the tools API: segments that stay segments."""

import pytest

from main_api.rag.call import target_of
from shared.errors import InvalidRequest, NotFound


@pytest.mark.parametrize(
    ("segments", "target"),
    [
        (["collections", "col_1"], "/v1/rag/collections/col_1"),
        (["collections", "my docs"], "/v1/rag/collections/my%20docs"),
        (["collections", "a/../b"], "/v1/rag/collections/a%2F..%2Fb"),
        (["collections", "..%2f"], "/v1/rag/collections/..%252f"),
        (["collections", "x?y#z"], "/v1/rag/collections/x%3Fy%23z"),
        (["collections", "über"], "/v1/rag/collections/%C3%BCber"),
        (["collections", "..."], "/v1/rag/collections/..."),
    ],
)
def test_a_segment_stays_one(segments: list[str], target: str) -> None:
    assert target_of(segments) == target


@pytest.mark.parametrize("segment", ["", ".", "..", "a\r\nb", "a\0b", "x" * 257, "\u2028"])
def test_a_segment_that_leads_elsewhere_or_nowhere_is_not_there(segment: str) -> None:
    with pytest.raises(NotFound):
        target_of(["collections", segment])


def test_a_query_goes_along_as_it_was_written() -> None:
    assert target_of(["jobs"], "limit=5&after=%2Fx") == "/v1/rag/jobs?limit=5&after=%2Fx"


@pytest.mark.parametrize("query", ["a b", "a\r\nx: y", "\u00fc", "a" * 4097])
def test_a_query_that_is_none_is_refused(query: str) -> None:
    with pytest.raises(InvalidRequest):
        target_of(["jobs"], query)
