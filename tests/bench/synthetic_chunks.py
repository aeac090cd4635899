"""Documents of made-up text with vectors like those of real text, a million chunks in minutes."""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from tools_api.rag.index.values import DocumentToPut
from tools_api.rag.values import Chunk, DocumentRecord

DIMENSIONS = 384
CHUNKS_PER_DOCUMENT = 10
_LATENT = 48
_TOPICS = 2000
_SPREAD = 0.6
_SENTENCES = 20_000
_SYLLABLES = [consonant + vowel for consonant in "bdklmnr" for vowel in "aeiou"]


class Synthetic:
    """Makes documents one after the other, the same ones for the same seed.

    Sentences are of 30,000 words whose frequencies follow Zipf's law. Vectors lie around 2,000 topics in a space of 48
    dimensions that is turned into 384: embeddings of text have neighbours, which independent numbers have not.
    """

    def __init__(self, seed: int = 0) -> None:
        self._chance = np.random.default_rng(seed)
        shape = np.random.default_rng(12345)  # the topics are those of every seed
        self._turn = shape.standard_normal((_LATENT, DIMENSIONS)).astype(np.float32)
        self._topics = shape.standard_normal((_TOPICS, _LATENT)).astype(np.float32)
        words = np.array(["".join(shape.choice(_SYLLABLES, length)) for length in shape.integers(1, 5, 30_000)])
        ranks = np.minimum(shape.zipf(1.2, (_SENTENCES, 14)), len(words)) - 1
        self._sentences = [" ".join(words[row]).capitalize() + "." for row in ranks]

    def vectors(self, rows: int) -> NDArray[np.float32]:
        """Return vectors of length 1."""
        topics = self._topics[self._chance.integers(0, _TOPICS, rows)]
        latent = topics + _SPREAD * self._chance.standard_normal((rows, _LATENT)).astype(np.float32)
        vectors = latent @ self._turn
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def documents(self, first: int, count: int) -> Iterator[DocumentToPut]:
        """Make documents with the numbers from `first` on."""
        vectors = self.vectors(count * CHUNKS_PER_DOCUMENT).reshape(count, CHUNKS_PER_DOCUMENT, DIMENSIONS)
        picks = self._chance.integers(0, _SENTENCES, (count, CHUNKS_PER_DOCUMENT, 8))
        for at in range(count):
            yield DocumentToPut(_record(first + at), self._chunks(picks[at]), vectors[at])

    def _chunks(self, picks: NDArray[np.int64]) -> list[Chunk]:
        chunks: list[Chunk] = []
        start = 0
        for ordinal, row in enumerate(picks):
            text = " ".join([self._sentences[each] for each in row])
            end = start + len(text)
            chunks.append(Chunk(ordinal=ordinal, text=text, start=start, end=end, page=ordinal + 1, headings=("Part",)))
            start = end + 1
        return chunks


def _record(number: int) -> DocumentRecord:
    return DocumentRecord(
        id=f"doc_{number:032x}",
        name=f"report-{number}.pdf",
        media_type="application/pdf",
        sha256=f"{number:064x}",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        metadata={"year": 2000 + number % 25, "number": number},
    )
