"""What one search sees: the newest vectors and the segments at one moment. Never changed, only replaced."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools_api.rag.index.head import Head
from tools_api.rag.index.ranges import Ranges
from tools_api.rag.index.segment import Segment
from tools_api.rag.values import ScoredChunk

Found = tuple[NDArray[np.int64], NDArray[np.float32]]

_FLAT_ROWS_OF_A_PROBE = 50
_ROWS_FOR_A_THREAD = 32_768


@dataclass(frozen=True, slots=True)
class View:
    """The head and the segments, in the order of their ids."""

    head: Head
    segments: tuple[Segment, ...]

    @property
    def sealed_upto(self) -> int:
        """Segments answer for the ids below this one."""
        return self.segments[-1].row.end if self.segments else 0

    @property
    def nbytes(self) -> int:
        """Memory that it takes besides the mapped files."""
        return self.head.nbytes + sum(segment.nbytes for segment in self.segments)

    def without(self, ranges: Ranges) -> "View":
        """Return it with these ids deleted."""
        return View(self.head.without(ranges), tuple(segment.without(ranges) for segment in self.segments))

    def parts(self, at_once: int) -> list[Sequence[Head | Segment]]:
        """Divide it into up to `at_once` parts of about the same work; one if it is little."""
        sources: list[Head | Segment] = [self.head, *self.segments]
        total = sum(map(_work, sources))
        number = max(1, min(at_once, total // _ROWS_FOR_A_THREAD))
        parts: list[list[Head | Segment]] = [[] for _ in range(number)]
        loads = [0] * number
        for source in sorted(sources, key=_work, reverse=True):
            lightest = loads.index(min(loads))
            parts[lightest].append(source)
            loads[lightest] += _work(source)
        return [part for part in parts if part]


def search_part(
    part: Sequence[Head | Segment], query: NDArray[np.float32], k: int, allowed: Ranges | None
) -> list[Found]:
    """Search heads and segments one after the other. Blocking."""
    return [source.search(query, k, allowed) for source in part]


def best(found: Sequence[Found], k: int) -> list[ScoredChunk]:
    """Return the best `k` of what was found in parts, best first; equals in the order of their ids."""
    if not found:
        return []
    ids = np.concatenate([part[0] for part in found])
    scores = np.concatenate([part[1] for part in found])
    order = np.lexsort((ids, -scores))[:k]
    return [ScoredChunk(int(ids[at]), float(scores[at])) for at in order]


def _work(source: Head | Segment) -> int:
    if isinstance(source, Head):
        return source.count
    return source.live_count if source.row.kind == "Flat" else source.live_count // _FLAT_ROWS_OF_A_PROBE
