"""A collection in a temporary folder, and documents to put into it."""

import os
import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.tools_api.rag.index.memory_words import MemoryWords
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.index.values import DocumentToPut, IndexOptions, VectorModel
from tools_api.rag.values import Chunk, DocumentRecord

DIMENSIONS = 8
MODEL = VectorModel("model-a", DIMENSIONS)
SMALL = IndexOptions(
    head=16, merge=2, approximate_from=64, largest=128, reserve_bytes=0, purge_after_s=3600, purge_at_most_after_s=3600
)
"""Segments of a few vectors, so that a test has many; nothing is purged but on demand."""
COLLECTION = "col_test"


def unit(seed: int, rows: int = 1, dimensions: int = DIMENSIONS) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def document(
    name: str,
    chunks: int = 2,
    *,
    seed: int | None = None,
    text: str = "text of",
    metadata: Mapping[str, Any] | None = None,
    dimensions: int = DIMENSIONS,
) -> DocumentToPut:
    """Return a document `name` whose chunks and vectors follow from its name and `seed`."""
    record = DocumentRecord(
        id=f"doc_{name}",
        name=f"{name}.txt",
        media_type="text/plain",
        sha256=f"{seed}",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        title=f"Title {name}",
        pages=chunks,
        metadata=metadata or {},
    )
    parts: list[Chunk] = []
    start = 0
    for ordinal in range(chunks):
        words = f"{text} {name} part {ordinal}"
        parts.append(
            Chunk(
                ordinal=ordinal,
                text=words,
                start=start,
                end=start + len(words),
                page=ordinal + 1,
                page_end=ordinal + 1,
                headings=(f"Heading {name}",),
            )
        )
        start += len(words) + 1
    number = seed if seed is not None else int.from_bytes(name.encode(), "little")
    return DocumentToPut(record, parts, unit(number, chunks, dimensions))


@pytest.fixture
def root(tmp_path: Path) -> Generator[Path]:
    """A folder in memory where there is one: every put waits for the disk, which is not what most tests are about."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.fixture
async def indexes(root: Path) -> AsyncGenerator[Indexes]:
    made = Indexes(root / "collections", MemoryWords, SMALL)
    await made.start()
    yield made
    await made.aclose()


@pytest.fixture
async def index(indexes: Indexes) -> CollectionIndex:
    return await indexes.open(COLLECTION, MODEL, "Flat")
