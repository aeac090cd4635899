"""When vectors move from the head into segments, and segments are merged or written anew.

As in a log-structured merge tree: every vector is written a few times in its life, however large the collection gets,
and a search looks at a few dozen segments at most.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tools_api.rag.index.values import IndexOptions
from tools_api.rag.values import IndexType

_NEARLY = 0.9
"""Segments lose some vectors on their way, and are merged all the same."""


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What matters of a segment; `dead_since` is when the first of its dead vectors was found dead, in seconds."""

    first: int
    end: int
    kind: IndexType
    live: int
    dead: int
    dead_since: float | None


@dataclass(frozen=True, slots=True)
class Work:
    """Write the live vectors from `first` up to `end` as one new segment in place of those that lie there."""

    first: int
    end: int


def kind_for(rows: int, wanted: IndexType, options: IndexOptions) -> IndexType:
    """Say how a segment of that size is searched: a small one is as fast when it is looked at wholly."""
    return "Flat" if rows < options.approximate_from else wanted


def largest_rows(options: IndexOptions, dimensions: int) -> int:
    """Return how many vectors a segment holds at most."""
    return max(options.head, min(options.largest, options.largest_bytes // (4 * dimensions)))


def rows_to_seal(head: int, options: IndexOptions, largest: int) -> int:
    """Return how many of the oldest vectors in the head become a segment; 0 while there are few."""
    if head < options.head:
        return 0
    rows = options.head
    while rows * options.merge <= min(head, largest):
        rows *= options.merge
    return rows


def next_rewrite(
    segments: Sequence[SegmentFacts], wanted: IndexType, options: IndexOptions, *, now: float, purge: bool
) -> Work | None:
    """Find a segment with too many dead vectors, with dead ones for too long, or of another kind than it should be."""
    for segment in segments:
        rows = segment.live + segment.dead
        stale = segment.dead_since is not None and now - segment.dead_since >= options.rewrite_after_s
        if segment.dead and (purge or stale or segment.dead >= options.rewrite_share * rows):
            return Work(segment.first, segment.end)
        if segment.kind != kind_for(rows, wanted, options):
            return Work(segment.first, segment.end)
    return None


def next_merge(segments: Sequence[SegmentFacts], options: IndexOptions, largest: int) -> Work | None:
    """Find neighbours that together make a segment of the next size, or a tiny one beside another.

    Sizes are powers of `merge` times the head. Neighbours of a size and all smaller ones count together: segments that
    were sealed in different sizes lie between one another.
    """
    levels = [_level(segment, options, largest) for segment in segments]
    for level in sorted({level for level in levels if level is not None}):
        enough = min(options.head * options.merge ** (level + 1), largest)
        for alike in _runs(segments, levels, level):
            if sum(segment.live for segment in alike) >= enough * _NEARLY and (work := _fitting(alike, largest)):
                return work
    return _with_neighbour(segments, options, largest)


def _level(segment: SegmentFacts, options: IndexOptions, largest: int) -> int | None:
    """Return the power; None for a segment that is too large to be merged."""
    if segment.live > largest // 2:
        return None
    return max(0, round(math.log(max(1, segment.live) / options.head, options.merge)))


def _runs(segments: Sequence[SegmentFacts], levels: Sequence[int | None], level: int) -> list[list[SegmentFacts]]:
    """Return neighbours of that level or a lower one, two or more."""
    pairs = zip(segments, levels, strict=True)
    grouped = itertools.groupby(pairs, key=lambda pair: pair[1] is not None and pair[1] <= level)
    runs = [[segment for segment, _ in group] for low, group in grouped if low]
    return [run for run in runs if len(run) > 1]


def _fitting(alike: Sequence[SegmentFacts], largest: int) -> Work | None:
    rows, end = alike[0].live, None
    for segment in alike[1:]:
        rows += segment.live
        if rows > largest:
            break
        end = segment.end
    return None if end is None else Work(alike[0].first, end)


def _with_neighbour(segments: Sequence[SegmentFacts], options: IndexOptions, largest: int) -> Work | None:
    for left, right in itertools.pairwise(segments):
        if min(left.live, right.live) < options.head // 2 and left.live + right.live <= largest:
            return Work(left.first, right.end)
    return None
