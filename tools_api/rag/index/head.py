"""The newest vectors of a collection, searched in memory until they become a segment.

Arrays only grow at their end and a view sees a prefix of them, so searches go on while vectors are added. Deleting
makes a new mask; nothing that a view refers to is changed.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tools_api.rag.index import kinds
from tools_api.rag.index.ranges import Ranges, mask_of

_LEAST = 256


@dataclass(frozen=True, slots=True)
class Head:
    """`count` vectors with their ids, ascending; `live` says which are not deleted. Change it by making another."""

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    live: NDArray[np.bool_]
    count: int

    @classmethod
    def empty(cls, dimensions: int) -> "Head":
        """Return a head with nothing in it."""
        return cls(np.empty(0, np.int64), np.empty((0, dimensions), np.float32), np.empty(0, np.bool_), 0)

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.ids.nbytes + self.vectors.nbytes + self.live.nbytes

    @property
    def dead(self) -> int:
        """How many of its vectors are deleted."""
        return self.count - int(self.live[: self.count].sum())

    def with_added(self, first: int, vectors: NDArray[np.float32]) -> "Head":
        """Return a head with the vectors of the ids from `first` on, which are behind all others."""
        end = self.count + len(vectors)
        head = self if end <= len(self.ids) else self._grown(end)
        head.ids[self.count : end] = np.arange(first, first + len(vectors))
        head.vectors[self.count : end] = vectors
        live = head.live.copy()
        live[self.count : end] = True
        return replace(head, live=live, count=end)

    def without(self, ranges: Ranges) -> "Head":
        """Return a head in which these ids are deleted."""
        live = self.live.copy()
        live[: self.count] &= ~mask_of(self.ids[: self.count], ranges)
        return replace(self, live=live)

    def after(self, end: int) -> "Head":
        """Return a head, in memory of its own, of what is live from the id `end` on."""
        kept = np.flatnonzero(self.live[: self.count] & (self.ids[: self.count] >= end))
        return Head(self.ids[kept], self.vectors[kept], np.ones(len(kept), np.bool_), len(kept))

    def search(
        self, query: NDArray[np.float32], k: int, allowed: Ranges | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return ids and scores of the best `k` that are live and in one of the ranges, in no order."""
        mask = self.live[: self.count]
        if allowed is not None:
            mask = mask_of(self.ids[: self.count], allowed) & mask
        rows = np.flatnonzero(mask)
        vectors = self.vectors[: self.count] if len(rows) * 2 > self.count else self.vectors[rows]
        scores = kinds.inner_products(vectors, query)
        scores = scores[rows] if len(vectors) == self.count else scores
        best = np.argpartition(-scores, k - 1)[:k] if len(scores) > k else np.arange(len(scores))
        return self.ids[rows[best]], scores[best]

    def _grown(self, rows: int) -> "Head":
        size = max(_LEAST, 2 * len(self.ids), rows)
        ids, live = np.zeros(size, np.int64), np.zeros(size, np.bool_)
        vectors = np.zeros((size, self.vectors.shape[1]), np.float32)
        ids[: self.count], live[: self.count] = self.ids[: self.count], self.live[: self.count]
        vectors[: self.count] = self.vectors[: self.count]
        return Head(ids, vectors, live, self.count)
