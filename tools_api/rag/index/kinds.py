"""What FAISS does here: builds, writes, maps and searches one segment's index of inner products.

FAISS and its thread pool are only met in this file, in worker threads. Files are ours and checked by their checksum
before they are mapped, since a damaged one can end the process.
"""

import errno
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools_api.rag.values import IndexType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Positions = NDArray[np.int64]
    Mask = NDArray[np.bool_]

_LINKS = 24
_EF_CONSTRUCTION = 100
_EF_SEARCH = 96
_TRAINING_POINTS = 48
_ITERATIONS = 10
_ADDED_AT_ONCE = 4096
_LEAST_PROBES = 16
_PROBED_SHARE = 16


def use_threads(number: int) -> None:
    """Let FAISS use that many threads for calls of the calling thread."""
    faiss = _faiss()
    faiss.omp_set_num_threads(number)


class BuildStopped(Exception):
    """The index was not built to its end, because it was asked to stop."""


def build(vectors: "Vectors", kind: IndexType, stopped: Callable[[], bool]) -> Any:
    """Return an index of the vectors, whose positions are their rows. Raises `BuildStopped`."""
    faiss = _faiss()
    rows, dimensions = vectors.shape
    if kind == "HNSW":
        index: Any = faiss.IndexHNSWFlat(dimensions, _LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _EF_CONSTRUCTION
    elif kind == "IVF":
        lists = max(1, round(2 * math.sqrt(rows)))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimensions), dimensions, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.spherical = True
        index.cp.niter = _ITERATIONS
        index.cp.max_points_per_centroid = _TRAINING_POINTS
        index.cp.min_points_per_centroid = 1
        index.train(vectors)
    else:
        index = faiss.IndexFlatIP(dimensions)
    for start in range(0, rows, _ADDED_AT_ONCE):
        if stopped():
            raise BuildStopped
        index.add(vectors[start : start + _ADDED_AT_ONCE])
    return index


def write(index: Any, path: Path) -> None:
    """Write an index into a file. Raises `OSError`."""
    faiss = _faiss()
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:  # FAISS says what the system said only in words; a write can end for want of room
        raise OSError(*_why(path, error)) from error


def open_mapped(path: Path) -> Any:
    """Map a file that `write` made: its pages are read when they are needed, and can be dropped by the system."""
    faiss = _faiss()
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def search(
    index: Any, kind: IndexType, query: "Vectors", *, k: int, mask: "Mask | None", allowed: int
) -> "tuple[Positions, Vectors]":
    """Return positions and scores of the best `k` rows that `mask` (`allowed` of them) lets through, in no order.

    Flat is exact. The others are exact too wherever they would find too few, or where so few rows are allowed that
    looking at all of them is cheap.
    """
    k = min(k, allowed)
    if kind == "Flat":
        return _found(index, query, k, _parameters(kind, mask))
    if allowed <= index.ntotal // _PROBED_SHARE:
        return _exactly(index, kind, query, k, mask)
    found = _found(index, query, k, _parameters(kind, mask, k=k, rows=index.ntotal, allowed=allowed))
    return found if len(found[0]) == k else _exactly(index, kind, query, k, mask)


def inner_products(vectors: "Vectors", query: "Vectors") -> "Vectors":
    """Return the scores of all rows, on one thread."""
    import numpy as np

    faiss = _faiss()
    scores = np.empty(len(vectors), dtype=np.float32)
    if len(vectors):
        rows, dimensions = vectors.shape
        faiss.fvec_inner_products_ny(*map(faiss.swig_ptr, (scores, query, vectors)), dimensions, rows)
    return scores


def _exactly(index: Any, kind: IndexType, query: "Vectors", k: int, mask: "Mask | None") -> "tuple[Positions, Vectors]":
    if kind == "HNSW":
        return _found(index.storage, query, k, _parameters("Flat", mask))
    return _found(index, query, k, _parameters(kind, mask, probes=index.nlist))


def _found(index: Any, query: "Vectors", k: int, parameters: Any) -> "tuple[Positions, Vectors]":
    scores, positions = index.search(query.reshape(1, -1), k, params=parameters)
    there = positions[0] >= 0
    return positions[0][there], scores[0][there]


def _parameters(
    kind: IndexType, mask: "Mask | None", *, k: int = 0, rows: int = 1, allowed: int = 1, probes: int = 0
) -> Any:
    """The fewer rows are allowed, the more are looked at."""
    import numpy as np

    faiss = _faiss()
    bits = None if mask is None else np.packbits(mask, bitorder="little")
    selector: Any = None if bits is None else faiss.IDSelectorBitmap(bits)
    if kind == "HNSW":
        wider = rows / allowed
        return faiss.SearchParametersHNSW(sel=selector, efSearch=round(max(_EF_SEARCH, 2 * k) * math.sqrt(wider)))
    if kind == "IVF":
        lists = round(2 * math.sqrt(rows))
        share = max(_LEAST_PROBES, lists / _PROBED_SHARE) * rows / allowed
        return faiss.SearchParametersIVF(sel=selector, nprobe=probes or min(lists, round(share)))
    return faiss.SearchParameters(sel=selector)


def _faiss() -> Any:  # its stubs do not know what it adds to the generated classes
    import faiss

    return faiss


def _why(path: Path, error: RuntimeError) -> tuple[int, str]:
    disk = os.statvfs(path.parent)
    number = errno.ENOSPC if disk.f_bavail * disk.f_frsize < 1024 * 1024 else errno.EIO
    return number, str(error)
