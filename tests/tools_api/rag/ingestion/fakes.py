"""Neighbours of ingestion that keep what they are given in memory, and can be told to wait or to fail."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import StorageFull
from tools_api.embeddings.errors import TextsRefused
from tools_api.embeddings.protocol import EncoderModel, EncoderStatus, TextKind
from tools_api.rag.index.values import DocumentToPut, VectorModel
from tools_api.rag.parsing import Chunking, ParseInput
from tools_api.rag.values import Chunk, IndexType, ParsedDocument, ParseFailure

DIMENSIONS = 8


class PlainParser:
    """Every line of a file is a passage. A file that begins with `!word` fails with that word."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def parse(
        self, files: Sequence[ParseInput], chunking: Chunking
    ) -> AsyncGenerator[tuple[str, ParsedDocument | ParseFailure]]:
        self.calls.append([file.name for file in files])
        for file in files:
            await self.gate.wait()
            assert isinstance(file.content, Path)
            text = file.content.read_text()
            if text == "poison":
                raise RuntimeError("a bug of ours, which one file brings out")
            if text.startswith("!"):
                yield file.id, ParseFailure(code=text[1:].split("\n")[0], message="It is broken.", retryable=True)
                continue
            yield file.id, ParsedDocument(media_type="text/plain", chunks=tuple(_lines(text)), title=file.name)


def _lines(text: str) -> list[Chunk]:
    chunks: list[Chunk] = []
    position = 0
    for line in text.split("\n"):
        if line:
            chunks.append(Chunk(ordinal=len(chunks), text=line, start=position, end=position + len(line)))
        position += len(line) + 1
    return chunks


class HashEncoder:
    """Makes a vector of a text's hash. `gate` holds it, `down` fails it, `refuses` is a word that no text may have."""

    def __init__(self, fingerprint: str = "model-1") -> None:
        self.fingerprint = fingerprint
        self.embedded: Counter[str] = Counter()
        self.calls = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.down: Exception | None = None
        self.refuses: str | None = None

    @property
    def status(self) -> EncoderStatus:
        return EncoderStatus("ready")

    @property
    def can_rerank(self) -> bool:
        return False

    async def model(self) -> EncoderModel:
        return EncoderModel(name="hash", dimensions=DIMENSIONS, max_tokens=64, fingerprint=self.fingerprint)

    async def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        self.calls += 1
        await self.gate.wait()
        if self.down is not None:
            raise self.down
        if self.refuses is not None and any(self.refuses in text for text in texts):
            raise TextsRefused("It is too long.")
        self.embedded.update(texts)
        return np.stack([vector_of(f"{self.fingerprint}{text}") for text in texts])

    async def rerank(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        raise AssertionError("nobody reranks while documents come")

    async def wait_ready(self, within_s: float) -> bool:
        return within_s >= 0


def vector_of(text: str) -> NDArray[np.float32]:
    """Return a vector of length 1."""
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest()[:DIMENSIONS], np.uint8)
    vector = digest.astype(np.float32) - 127.5
    return vector / np.linalg.norm(vector)


class MemoryIndex:
    """Holds the documents of a collection. `full` refuses what comes, `stuck` what is to go."""

    def __init__(self) -> None:
        self.documents: dict[str, DocumentToPut] = {}
        self.puts: Counter[str] = Counter()
        self.full = False
        self.stuck = False

    async def put_many(self, documents: Sequence[DocumentToPut], *, fingerprint: str | None = None) -> None:
        if self.full:
            raise StorageFull("The disk is full.")
        for document in documents:
            assert document.vectors.shape == (len(document.chunks), DIMENSIONS)
            self.documents[document.record.id] = document
            self.puts[document.record.sha256] += 1

    async def delete(self, document_ids: Sequence[str]) -> int:
        if self.stuck:
            raise StorageFull("The disk is full.")
        return sum(self.documents.pop(document_id, None) is not None for document_id in document_ids)

    def texts(self) -> list[str]:
        return sorted(chunk.text for document in self.documents.values() for chunk in document.chunks)


class MemoryIndexes:
    def __init__(self) -> None:
        self.by_collection: dict[str, MemoryIndex] = {}

    async def open(self, collection_id: str, model: VectorModel, index_type: IndexType) -> MemoryIndex:
        return self.by_collection.setdefault(collection_id, MemoryIndex())

    async def existing(self, collection_id: str) -> MemoryIndex | None:
        return self.by_collection.get(collection_id)
