"""Ranges of chunk ids, and which of ascending ids lie in them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tools_api.rag.index.words_view import IdRange

Ranges = NDArray[np.int64]
"""Shape (ranges, 2): first ids and ends, ascending and without overlap."""


def ranges_of(pairs: Iterable[IdRange]) -> Ranges:
    """Return the pairs as an array."""
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def mask_of(ids: NDArray[np.int64], ranges: Ranges) -> NDArray[np.bool_]:
    """Say of each of the ascending ids whether it lies in one of the ranges."""
    if not len(ids):
        return np.zeros(0, np.bool_)
    near = ranges[np.searchsorted(ranges[:, 1], ids[0], "right") : np.searchsorted(ranges[:, 0], ids[-1], "right")]
    bounds = np.searchsorted(ids, near)
    steps = np.zeros(len(ids) + 1, np.int32)
    np.add.at(steps, bounds[:, 0], 1)
    np.add.at(steps, bounds[:, 1], -1)
    return np.cumsum(steps[:-1]) > 0


def runs_of(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ascending ids as runs, shape (runs, 2): the first of those that follow each other, and how many."""
    if not len(ids):
        return np.empty((0, 2), np.int64)
    starts = np.flatnonzero(np.diff(ids, prepend=ids[0] - 2) != 1)
    return np.column_stack((ids[starts], np.diff(np.append(starts, len(ids)))))


def ids_of(runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ids of runs."""
    if not len(runs):
        return np.empty(0, np.int64)
    first, count = runs[:, 0], runs[:, 1]
    before = np.cumsum(count) - count
    return np.repeat(first - before, count) + np.arange(int(count.sum()))
