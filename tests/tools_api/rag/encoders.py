"""Encoders for what is tested beside one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tools_api.embeddings.protocol import EncoderModel, EncoderStatus, TextKind

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
