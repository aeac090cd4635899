"""A segment: some tens of thousands of vectors in a file that is never changed, mapped and searched by FAISS.

Its row in `chunks.db` says which ids it holds and how its file must look; a file without a row is of no use, and one
that does not look so is made again from the vectors in `chunks.db`.
"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.durable import sync_folder
from tools_api.rag.index import kinds
from tools_api.rag.index.ranges import Ranges, ids_of, mask_of
from tools_api.rag.values import IndexType

_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """What `chunks.db` knows of a segment. It answers for the ids from `first` up to `end`, deleted ones included."""

    number: int
    first: int
    end: int
    kind: IndexType
    rows: int
    size: int
    checksum: str
    runs: bytes

    def file(self, folder: Path) -> Path:
        """Where its vectors are."""
        return folder / f"{self.number:08}.faiss"


@dataclass(frozen=True, slots=True)
class Segment:
    """An open segment. `live` says which of its vectors are not deleted, and is None when none is."""

    row: SegmentRow
    ids: NDArray[np.int64]
    index: Any
    live: NDArray[np.bool_] | None
    live_count: int

    @classmethod
    def open(cls, row: SegmentRow, folder: Path, live: Ranges) -> "Segment":
        """Map the file and find out which of its vectors are live."""
        ids = ids_of(np.frombuffer(row.runs, np.int64).reshape(-1, 2))
        mask = mask_of(ids, live)
        count = int(mask.sum())
        index = kinds.open_mapped(row.file(folder))
        return cls(row, ids, index, None if count == len(ids) else mask, count)

    @property
    def dead(self) -> int:
        """How many of its vectors belong to deleted chunks."""
        return len(self.ids) - self.live_count

    @property
    def nbytes(self) -> int:
        """Memory that it takes besides the mapped file."""
        return self.ids.nbytes + (self.live.nbytes if self.live is not None else 0)

    def without(self, ranges: Ranges) -> "Segment":
        """Return it with these ids deleted."""
        gone = mask_of(self.ids, ranges)
        if not gone.any():
            return self
        live = ~gone if self.live is None else self.live & ~gone
        return replace(self, live=live, live_count=int(live.sum()))

    def search(
        self, query: NDArray[np.float32], k: int, allowed: Ranges | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return ids and scores of the best `k` that are live and in one of the ranges, in no order."""
        mask, count = self.live, self.live_count
        if allowed is not None:
            within = mask_of(self.ids, allowed)
            mask = within if mask is None else within & mask
            count = int(mask.sum())
        if count == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if count == len(self.ids):
            mask = None
        positions, scores = kinds.search(self.index, self.row.kind, query, k=k, mask=mask, allowed=count)
        return self.ids[positions], scores


def write_segment(index: Any, file: Path) -> tuple[int, str]:
    """Write an index so that its file is whole or not there; return its size and checksum. Raises `OSError`."""
    draft = file.with_name(f"{file.name}.tmp")
    try:
        kinds.write(index, draft)
        size, checksum = measure(draft)
        descriptor = os.open(draft, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(file.parent)
    return size, checksum


def measure(file: Path) -> tuple[int, str]:
    """Return a file's size and checksum."""
    digest = hashlib.sha256()
    size = 0
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def is_whole(row: SegmentRow, folder: Path) -> bool:
    """Say whether a segment's file is there and as it was written."""
    try:
        return row.file(folder).stat().st_size == row.size and measure(row.file(folder)) == (row.size, row.checksum)
    except FileNotFoundError:
        return False


def remove_others(folder: Path, kept: Iterable[SegmentRow]) -> None:
    """Remove the files of segments that are no more, and what a crash left half written."""
    names = {row.file(folder).name for row in kept}
    for file in folder.iterdir():
        if file.name not in names:
            file.unlink(missing_ok=True)
