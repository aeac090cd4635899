"""What a collection's index is made with, and what it says of itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools_api.rag.values import Chunk, DocumentRecord, IndexType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNFINISHED_MARK = "unfinished"
"""The name of an empty file in a collection's folder: it was closed before all that was deleted had left its files."""


@dataclass(frozen=True, slots=True)
class VectorModel:
    """The embedding model whose vectors a collection holds. Those of different fingerprints are never compared."""

    fingerprint: str
    dimensions: int


@dataclass(frozen=True, slots=True)
class DocumentToPut:
    """A document with its chunks and one vector of length 1 for each, shape (chunks, dimensions)."""

    record: DocumentRecord
    chunks: Sequence[Chunk]
    vectors: "NDArray[np.float32]"


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    """A document that is there, and the range of its chunks' ids: `first_chunk` and the `chunks - 1` after it."""

    record: DocumentRecord
    first_chunk: int
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """How much the indexes of a process may take, and when they tidy up.

    Sizes of segments are in vectors. `head` is how many of the newest are searched in memory before they become a
    segment; a segment of fewer than `approximate_from` is always Flat; merging ends at `largest`, or at
    `largest_bytes` of vectors if that is less. `reserve_bytes` of the disk stay free for deletions and merges.
    """

    head: int = 2048
    merge: int = 4
    approximate_from: int = 6144
    largest: int = 131_072
    largest_bytes: int = 256 * 1024 * 1024
    purge_after_s: float = 5.0
    purge_at_most_after_s: float = 60.0
    rewrite_share: float = 0.125
    rewrite_after_s: float = 600.0
    log_bytes: int = 16 * 1024 * 1024
    reserve_bytes: int = 64 * 1024 * 1024
    max_open: int = 64
    max_open_bytes: int = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexStats:
    """What a collection holds. `bytes` are those of its folder, `memory_bytes` what it keeps out of files.

    `dead_share` is the part of the segments' vectors that belongs to deleted chunks. `pending` counts the chunks that
    a generation that is being filled still lacks; None if none is.
    """

    documents: int
    chunks: int
    bytes: int
    memory_bytes: int
    head: int
    segments: int
    dead_share: float
    index_type: IndexType
    model: VectorModel
    next_model: VectorModel | None
    pending: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreLimits:
    """What a snapshot may unpack to. A document is in memory as a whole while it is written."""

    bytes: int = 16 * 1024**3
    documents: int = 1_000_000
    chunks_per_document: int = 100_000
    characters_per_document: int = 200_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a snapshot held."""

    model: VectorModel
    index_type: IndexType
    documents: int
    chunks: int
