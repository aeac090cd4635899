"""An encoder without a model."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tools_api.embeddings.protocol import Embedded, EncoderModel, EncoderState, EncoderStatus, TextKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_TOKENS = 8


class FakeEncoder:
    """A text's vector points at its length. A token is a word."""

    def __init__(self, state: EncoderState = "ready", reason: str | None = None) -> None:
        self.status = EncoderStatus(state, reason)
        self.can_rerank = True
        self.kinds: list[TextKind] = []
        self.hangs: asyncio.Event | None = None
        self.cancelled = asyncio.Event()

    async def model(self) -> EncoderModel:
        return EncoderModel(name="fake", dimensions=2, max_tokens=MAX_TOKENS, fingerprint="fake@1")

    async def embed(self, texts: Sequence[str], kind: TextKind) -> "NDArray[np.float32]":
        return (await self.embed_counted(texts, kind)).rows

    async def embed_counted(self, texts: Sequence[str], kind: TextKind, *, count_cut: bool = False) -> Embedded:
        import numpy as np

        self.kinds.append(kind)
        if self.hangs is not None:
            self.hangs.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        words = [len(text.split()) for text in texts]
        rows = np.array([[np.cos(len(text)), np.sin(len(text))] for text in texts], dtype=np.float32)
        cut = sum(count > MAX_TOKENS for count in words) if count_cut else 0
        return Embedded(rows, sum(min(count, MAX_TOKENS) for count in words), cut)

    async def rerank(self, query: str, passages: Sequence[str]) -> "NDArray[np.float32]":
        import numpy as np

        return np.full(len(passages), 0.5, dtype=np.float32)

    async def wait_ready(self, within_s: float) -> bool:
        return self.status.state == "ready"

    def tokenizer_file(self) -> Path | None:
        return None
