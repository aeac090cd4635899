"""What a document, its vectors and a question must be like to be taken."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidRequest
from tools_api.rag.index.values import DocumentToPut

_LONGEST = 1.02
"""Vectors of length 1 may be a little longer by rounding; of a longer one the inner product is no cosine."""


def checked_documents(items: Sequence[DocumentToPut], dimensions: int) -> list[DocumentToPut]:
    """Return the documents as they will be written; of several with one id the last. Raises `InvalidRequest`."""
    last = {item.record.id: item for item in items}
    return [_checked(item, dimensions) for item in last.values()]


def checked_query(vector: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Return the vector of a question as FAISS wants it. Raises `InvalidRequest`."""
    query = np.ascontiguousarray(vector, dtype=np.float32)
    if query.shape != (dimensions,) or not np.isfinite(query).all():
        raise InvalidRequest(f"The vector of a question has {dimensions} finite numbers here.")
    return query


def checked_vectors(vectors: NDArray[np.float32], rows: int, dimensions: int) -> NDArray[np.float32]:
    """Return vectors row by row in memory. Raises `InvalidRequest`."""
    checked = np.ascontiguousarray(vectors, dtype=np.float32)
    if checked.shape != (rows, dimensions):
        raise InvalidRequest(f"{rows} chunks need vectors of the shape ({rows}, {dimensions}), not {checked.shape}.")
    lengths = np.einsum("ij,ij->i", checked, checked)
    if not (lengths <= _LONGEST**2).all():  # false also for what is no number
        raise InvalidRequest("Vectors are finite and of length 1.")
    return checked


def _checked(item: DocumentToPut, dimensions: int) -> DocumentToPut:
    if any(chunk.ordinal != number for number, chunk in enumerate(item.chunks)):
        raise InvalidRequest("The chunks of a document are numbered 0, 1, 2, … in their order.")
    vectors = item.vectors if item.chunks else np.empty((0, dimensions), np.float32)
    return DocumentToPut(item.record, item.chunks, checked_vectors(vectors, len(item.chunks), dimensions))
