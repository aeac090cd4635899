"""Encoders for what is tested beside one."""

import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tools_api.embeddings.protocol import Embedded, EncoderModel, EncoderStatus, TextKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class NamedEncoder:
    """Says which model it is; what asks it for vectors is wrong."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    @property
    def status(self) -> EncoderStatus:
        return EncoderStatus("ready")

    @property
    def can_rerank(self) -> bool:
        return False

    async def model(self) -> EncoderModel:
        return EncoderModel(name="test", dimensions=8, max_tokens=64, fingerprint=self.fingerprint)

    async def embed(self, texts: Sequence[str], kind: TextKind) -> "NDArray[np.float32]":
        raise AssertionError(f"{len(texts)} texts of kind {kind} came to an encoder that only has a name")

    async def rerank(self, query: str, passages: Sequence[str]) -> "NDArray[np.float32]":
        raise AssertionError(f"{query!r} and {len(passages)} passages came to an encoder that only has a name")

    async def wait_ready(self, within_s: float) -> bool:
        return within_s >= 0

    async def embed_counted(self, texts: Sequence[str], kind: TextKind, *, count_cut: bool = False) -> Embedded:
        words = sum(len(text.split()) for text in texts)
        return Embedded(await self.embed(texts, kind), words, 0)

    def tokenizer_file(self) -> Path | None:
        return None


class HashedWords(NamedEncoder):
    """Vectors without a model: texts that share words are near each other."""

    dimensions = 64

    async def model(self) -> EncoderModel:
        return EncoderModel(
            name="hashed-words", dimensions=self.dimensions, max_tokens=64, fingerprint=self.fingerprint
        )

    async def embed(self, texts: Sequence[str], kind: TextKind) -> "NDArray[np.float32]":
        import numpy as np

        rows = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()) or [kind]:
                row[zlib.crc32(word.encode("utf-8", "replace")) % self.dimensions] += 1
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
