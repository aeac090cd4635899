"""Collections on the disk with both of their indexes, and an encoder that knows a few meanings."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.tools_api.rag.ram import ram_folder
from tools_api.embeddings.errors import EncoderUnavailable
from tools_api.embeddings.protocol import EncoderModel, EncoderState, EncoderStatus, TextKind
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.index.values import DocumentToPut, IndexOptions, VectorModel
from tools_api.rag.search.service import SearchService
from tools_api.rag.search.values import Searched
from tools_api.rag.values import Chunk, DocumentRecord
from tools_api.rag.words import words_opener

MEANINGS = [
    ["car", "automobile", "vehicle", "driving"],
    ["cat", "feline", "kitten", "pet"],
    ["money", "payment", "invoice", "price"],
    ["sea", "ocean", "ship", "sailing"],
    ["kettle", "tea", "water", "boiling"],
]
FINGERPRINT = "meanings-1"


class MeaningEncoder:
    """A text's vector counts its words by meaning; the last number keeps texts without any apart from zero."""

    def __init__(self) -> None:
        self.state: EncoderState = "ready"
        self.fingerprint = FINGERPRINT
        self.embedded: list[str] = []
        self.reranks = False
        self.broken: str | None = None
        self.stuck = False
        self.waits: list[float] = []

    @property
    def status(self) -> EncoderStatus:
        return EncoderStatus(self.state, self.broken)

    @property
    def can_rerank(self) -> bool:
        return self.reranks

    async def model(self) -> EncoderModel:
        return EncoderModel(name="meanings", dimensions=6, max_tokens=64, fingerprint=self.fingerprint)

    async def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        if self.stuck:
            await asyncio.Event().wait()
        if self.broken:
            raise EncoderUnavailable(self.broken)
        assert kind == "query"
        self.embedded += texts
        return vectors(texts)

    async def rerank(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Like those best that are short."""
        if self.broken:
            raise EncoderUnavailable(self.broken)
        return np.array([1 / len(passage) for passage in passages], dtype=np.float32)

    async def wait_ready(self, within_s: float) -> bool:
        self.waits.append(within_s)
        return self.state == "ready"


def vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    rows = np.full((len(texts), 6), 0.01, dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in re.findall(r"\w+", text.lower()):
            for number, meaning in enumerate(MEANINGS):
                row[number] += word in meaning
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def document(
    name: str,
    *texts: str,
    gap: int = 1,
    pages: Sequence[int] | None = None,
    metadata: dict[str, Any] | None = None,
    media_type: str = "text/plain",
) -> DocumentToPut:
    """Return a document of these chunks, `gap` characters apart."""
    record = DocumentRecord(
        id=f"doc_{name}",
        name=name,
        media_type=media_type,
        sha256="0",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        metadata=metadata or {},
    )
    chunks: list[Chunk] = []
    start = 0
    for ordinal, text in enumerate(texts):
        end = start + len(text)
        page = pages[ordinal] if pages else None
        chunks.append(Chunk(ordinal=ordinal, text=text, start=start, end=end, page=page))
        start = end + gap
    return DocumentToPut(record, chunks, vectors(texts))


class Library:
    """Fills collections."""

    def __init__(self, indexes: Indexes) -> None:
        self.indexes = indexes

    async def put(self, collection: str, *documents: DocumentToPut) -> None:
        """Put documents into a collection, all in one change."""
        index = await self.indexes.open(collection, VectorModel(FINGERPRINT, 6), "Flat")
        await index.put_many(documents)


def searched(*ids: str, fingerprint: str | None = FINGERPRINT) -> list[Searched]:
    return [Searched(id=each, name=f"name of {each}", fingerprint=fingerprint) for each in ids]


@pytest.fixture
async def library() -> AsyncGenerator[Library]:
    with ram_folder() as folder:
        indexes = Indexes(folder / "collections", words_opener("english"), IndexOptions(reserve_bytes=0))
        await indexes.start()
        yield Library(indexes)
        await indexes.aclose()


@pytest.fixture
def encoder() -> MeaningEncoder:
    return MeaningEncoder()


@pytest.fixture
async def service(library: Library, encoder: MeaningEncoder) -> AsyncGenerator[SearchService]:
    made = SearchService(library.indexes, encoder, start_patience_s=0.25, busy_patience_s=0.25)
    yield made
    await made.aclose()
