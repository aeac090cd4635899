"""When segments are sealed, merged and written anew: how many there are, and how often a vector is written."""

import random

import pytest

from tools_api.rag.index import plan
from tools_api.rag.index.plan import SegmentFacts, Work
from tools_api.rag.index.values import IndexOptions

OPTIONS = IndexOptions()
LARGEST = plan.largest_rows(OPTIONS, 384)


class Simulated:
    """A collection of numbers only."""

    def __init__(self) -> None:
        self.head = 0
        self.end = 1
        self.segments: list[SegmentFacts] = []
        self.written = 0

    def add(self, rows: int) -> None:
        self.head += rows

    def work(self, limit: int = 10_000) -> None:
        for _ in range(limit):
            if rows := plan.rows_to_seal(self.head, OPTIONS, LARGEST):
                self.head -= rows
                self._replace(Work(self.end, self.end + rows), rows)
                self.end += rows
            elif merge := plan.next_merge(self.segments, OPTIONS, LARGEST):
                inside = [each for each in self.segments if merge.first <= each.first and each.end <= merge.end]
                assert len(inside) > 1, "a merge that merges nothing would be done for ever"
                self._replace(merge, sum(each.live for each in inside))
            else:
                return
        raise AssertionError("there is always more to do")

    def _replace(self, work: Work, rows: int) -> None:
        assert rows <= LARGEST
        self.written += rows
        kept = [each for each in self.segments if each.end <= work.first or each.first >= work.end]
        made = SegmentFacts(work.first, work.end, "Flat", rows, 0, None)
        self.segments = sorted([*kept, made], key=lambda each: each.first)


@pytest.mark.parametrize("batch", [1, 10, 999, 4096, 20_000, 70_000, 300_000])
def test_a_million_vectors_lie_in_few_segments_and_are_written_few_times(batch: int) -> None:
    collection, added = Simulated(), 0
    while added < 1_000_000:
        collection.add(batch)
        added += batch
        if collection.head >= OPTIONS.head:
            collection.work()

    assert len(collection.segments) <= added / LARGEST * 2 + 12
    assert collection.written <= 5 * added
    assert collection.head < OPTIONS.head


def test_batches_of_all_sizes() -> None:
    chance, collection, added = random.Random(1), Simulated(), 0
    while added < 1_500_000:
        rows = round(10 ** chance.uniform(0, 5))
        collection.add(rows)
        added += rows
        if chance.random() < 0.5:
            collection.work()
    collection.work()

    assert len(collection.segments) <= added / LARGEST * 2 + 12
    assert collection.written <= 5 * added


def test_segments_that_shrank_are_merged_again() -> None:
    """Of a million vectors most are deleted, here and there."""
    chance, collection = random.Random(2), Simulated()
    collection.segments = [
        SegmentFacts(at, at + 100_000, "Flat", chance.choice([1, 50, 2000, 90_000]), 0, None)
        for at in range(0, 3_000_000, 100_000)
    ]
    collection.end = 3_000_000
    total = sum(each.live for each in collection.segments)

    collection.work()

    assert sum(each.live for each in collection.segments) == total
    assert len(collection.segments) <= total / LARGEST * 2 + 12


def test_what_is_dead_is_written_anew_in_time() -> None:
    def due(dead: int, since: float | None, *, purge: bool = False) -> bool:
        segment = SegmentFacts(0, 100_000, "Flat", 100_000 - dead, dead, since)
        return plan.next_rewrite([segment], "Flat", OPTIONS, now=1000, purge=purge) is not None

    assert not due(0, None)
    assert not due(10, 999)
    assert due(10, 399)
    assert due(10, 999, purge=True)
    assert due(20_000, 999)
    assert not due(0, None, purge=True)


def test_only_large_segments_are_searched_approximately() -> None:
    small = SegmentFacts(0, 10, "Flat", 5000, 0, None)
    large = SegmentFacts(10, 20, "Flat", 50_000, 0, None)

    assert plan.next_rewrite([small], "HNSW", OPTIONS, now=0, purge=False) is None
    assert plan.next_rewrite([small, large], "HNSW", OPTIONS, now=0, purge=False) == Work(10, 20)


def test_vectors_of_many_numbers_make_smaller_segments() -> None:
    assert plan.largest_rows(OPTIONS, 384) == 131_072
    assert plan.largest_rows(OPTIONS, 4096) == 16_384
    assert plan.largest_rows(OPTIONS, 16_384) == 4096
