"""The vectors of a collection as they are searched: loads them, follows changes, and writes segments.

`apply`, `swap` and `reload` run under the collection's write lock, `build` in the background beside everything else.
Whoever searches takes `view` once.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.logging import get_logger
from tools_api.rag.index import kinds, plan
from tools_api.rag.index.failures import require_room
from tools_api.rag.index.head import Head
from tools_api.rag.index.ranges import ranges_of, runs_of
from tools_api.rag.index.reading import Readers, live_ranges
from tools_api.rag.index.segment import Segment, SegmentRow, is_whole, remove_others, write_segment
from tools_api.rag.index.segment_rows import highest_number, id_behind, replace_segments, segment_rows, vectors_in
from tools_api.rag.index.truth import Changes, Truth
from tools_api.rag.index.values import IndexOptions
from tools_api.rag.index.view import View
from tools_api.rag.values import IndexType

_log = get_logger("rag.index")


@dataclass(frozen=True, slots=True)
class Built:
    """A segment whose file is written and whose row is not; None where nothing was left to write."""

    work: plan.Work
    segment: Segment | None


class Dense:
    """The vectors of the collection in `folder`. Call `reload` before use."""

    def __init__(self, folder: Path, truth: Truth, readers: Readers, options: IndexOptions) -> None:
        self._files = folder / "vectors"
        self._truth = truth
        self._readers = readers
        self._options = options
        self._dead_since: dict[int, float] = {}
        self._number = 0
        self.view = View(Head.empty(1), ())
        self.stopped = False

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has."""
        return self.view.head.vectors.shape[1]

    @property
    def dead_share(self) -> float:
        """The part of the segments' vectors that belongs to deleted chunks."""
        rows = sum(len(segment.ids) for segment in self.view.segments)
        return sum(segment.dead for segment in self.view.segments) / rows if rows else 0.0

    def reload(self) -> None:
        """Open the segments, made again where their files are missing or damaged, and read the head. Blocking."""
        self._files.mkdir(mode=0o700, exist_ok=True)
        dimensions = self._truth.model.dimensions
        with self._readers.snapshot() as db:
            rows = segment_rows(db)
            live = ranges_of(live_ranges(db))
            self._number = max(self._number, highest_number(db))
            upcoming = segment_rows(db, following=True)
        remove_others(self._files, [*rows, *upcoming])
        segments = [self._opened(row, live, dimensions) for row in rows]
        kept = [segment for segment in segments if segment is not None]
        while made := self._sealed_at_once(kept[-1].row.end if kept else 0, live, dimensions):
            kept.append(made)
        with self._readers.use() as db:
            ids, vectors = vectors_in(db, (kept[-1].row.end if kept else 0, 2**62), dimensions)
        self.view = View(Head(ids, vectors, np.ones(len(ids), np.bool_), len(ids)), tuple(kept))
        self._note_dead()

    def apply(self, changes: Changes, vectors: Sequence[NDArray[np.float32]]) -> None:
        """Show what a transaction did; `vectors` belong to `changes.added`, none if they are not to be searched."""
        head = self.view.head
        for (first, _), added in zip(changes.added, vectors, strict=bool(vectors)):
            head = head.with_added(first, added)
        view = replace(self.view, head=head)
        if changes.removed:
            view = view.without(ranges_of(changes.removed))
        if view.head.count >= 2 * self._options.head and view.head.dead * 2 > view.head.count:
            view = replace(view, head=view.head.after(0))
        self.view = view
        self._note_dead()

    def next_work(self, wanted: IndexType, *, purge: bool) -> plan.Work | None:
        """Say what is to be written next, if anything."""
        view, options = self.view, self._options
        largest = plan.largest_rows(options, self.dimensions)
        live = np.flatnonzero(view.head.live[: view.head.count])
        if rows := plan.rows_to_seal(len(live), options, largest):
            return plan.Work(view.sealed_upto, int(view.head.ids[live[rows - 1]]) + 1)
        facts = [self._facts(segment) for segment in view.segments]
        rewrite = plan.next_rewrite(facts, wanted, options, now=time.monotonic(), purge=purge)
        return rewrite or plan.next_merge(facts, options, largest)

    def rewrite_due_s(self) -> float | None:
        """Return in how many seconds a segment will have had dead vectors for too long."""
        if not self._dead_since:
            return None
        return max(0.0, min(self._dead_since.values()) + self._options.rewrite_after_s - time.monotonic())

    def build(self, work: plan.Work, wanted: IndexType) -> Built:
        """Write the file of a segment. Blocking, long. Raises `StorageFull`, `kinds.BuildStopped`."""
        with self._readers.use() as db:
            ids, vectors = vectors_in(db, (work.first, work.end), self.dimensions)
        if not len(ids):
            return Built(work, None)
        row = self._written(work, ids, vectors, plan.kind_for(len(ids), wanted, self._options))
        return Built(work, Segment.open(row, self._files, np.array([[0, 2**62]])))

    def swap(self, built: Built) -> None:
        """Let a built segment take the place of what it was made from. Raises `StorageFull`."""
        work, view = built.work, self.view
        gone = [part for part in view.segments if work.first <= part.row.first and part.row.end <= work.end]
        made = built.segment and built.segment.without(self._dead_in(built.segment, gone))
        with self._truth.transaction() as db:
            replace_segments(db, [segment.row.number for segment in gone], made and made.row)
        kept = [segment for segment in view.segments if segment not in gone]
        segments: list[Segment] = [*kept, made] if made else kept
        segments.sort(key=lambda segment: segment.row.first)
        head = view.head.after(work.end) if work.end > view.sealed_upto else view.head
        self.view = View(head, tuple(segments))
        self._note_dead()
        for segment in gone:
            segment.row.file(self._files).unlink(missing_ok=True)

    def build_following(self, first: int, end: int, dimensions: int, wanted: IndexType) -> SegmentRow:
        """Write the file of a segment of the generation that is being filled. Blocking, long."""
        with self._readers.use() as db:
            ids, vectors = vectors_in(db, (first, end), dimensions, following=True)
        return self._written(plan.Work(first, end), ids, vectors, plan.kind_for(len(ids), wanted, self._options))

    def add_following(self, row: SegmentRow) -> None:
        """Keep such a segment until its generation is searched. Raises `StorageFull`."""
        with self._truth.transaction() as db:
            replace_segments(db, [], row, following=True)

    def _written(
        self, work: plan.Work, ids: NDArray[np.int64], vectors: NDArray[np.float32], kind: IndexType
    ) -> SegmentRow:
        require_room(self._files, vectors.nbytes * 2, 0)
        self._number += 1
        row = SegmentRow(self._number, work.first, work.end, kind, len(ids), 0, "", runs_of(ids).tobytes())
        size, checksum = write_segment(kinds.build(vectors, kind, self._is_stopped), row.file(self._files))
        return replace(row, size=size, checksum=checksum)

    def _sealed_at_once(self, first: int, live: NDArray[np.int64], dimensions: int) -> Segment | None:
        """Make a segment of what was restored and never sealed, if it is more than should be in memory."""
        with self._readers.snapshot() as db:
            end = id_behind(db, first, plan.largest_rows(self._options, dimensions))
            if end is None:
                return None
            ids, vectors = vectors_in(db, (first, end), dimensions)
        row = self._written(plan.Work(first, end), ids, vectors, "Flat")
        with self._truth.transaction() as db:
            replace_segments(db, [], row)
        return Segment.open(row, self._files, live)

    def _opened(self, row: SegmentRow, live: NDArray[np.int64], dimensions: int) -> Segment | None:
        if not is_whole(row, self._files):
            _log.warning("segment_rebuilt", segment=row.number, rows=row.rows)
            with self._readers.snapshot() as db:
                ids, vectors = vectors_in(db, (row.first, row.end), dimensions)
            made = self._written(plan.Work(row.first, row.end), ids, vectors, "Flat") if len(ids) else None
            with self._truth.transaction() as db:
                replace_segments(db, [row.number], made)
            if made is None:
                return None
            row = made
        return Segment.open(row, self._files, live)

    def _dead_in(self, made: Segment, gone: Sequence[Segment]) -> NDArray[np.int64]:
        """Return, as ranges, what was deleted while a segment was built from parts of the head or from others."""
        head = self.view.head
        alive = [head.ids[: head.count][head.live[: head.count]]]
        alive += [segment.ids if segment.live is None else segment.ids[segment.live] for segment in gone]
        dead = np.setdiff1d(made.ids, np.concatenate(alive), assume_unique=True)
        return np.column_stack((dead, dead + 1))

    def _facts(self, segment: Segment) -> plan.SegmentFacts:
        since = self._dead_since.get(segment.row.number)
        row = segment.row
        return plan.SegmentFacts(row.first, row.end, row.kind, segment.live_count, segment.dead, since)

    def _note_dead(self) -> None:
        now = time.monotonic()
        with_dead = [segment.row.number for segment in self.view.segments if segment.dead]
        self._dead_since = {number: self._dead_since.get(number, now) for number in with_dead}

    def _is_stopped(self) -> bool:
        return self.stopped
