"""What uses an encoder sees of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TextKind = Literal["query", "passage"]
"""Some models want questions and passages to be marked differently, and questions go first where texts queue."""
EncoderState = Literal["starting", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class EncoderModel:
    """The model behind the vectors. Vectors of different `fingerprint`s must never be compared.

    `max_tokens` is what it reads of a text; what is longer is cut.
    """

    name: str
    dimensions: int
    max_tokens: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class EncoderStatus:
    """How an encoder stands. `reason` says what is wrong and what to do, or what it is still waiting for."""

    state: EncoderState
    reason: str | None = None
    waiting_s: float = 0.0
    """How long it has been starting."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """`rows` has shape (texts, dimensions). `tokens` is what the model read in all, with its own special tokens; `cut`
    how many texts were longer than it reads, if that was asked."""

    rows: "NDArray[np.float32]"
    tokens: int
    cut: int


class Encoder(Protocol):
    """Turns texts into vectors of length 1, so that their inner product is their cosine."""

    @property
    def status(self) -> EncoderStatus: ...

    @property
    def can_rerank(self) -> bool:
        """Say whether a cross-encoder was configured."""
        ...

    async def model(self) -> EncoderModel:
        """Return the model; known long before it is loaded. Raises `EncoderUnavailable`."""
        ...

    async def embed(self, texts: Sequence[str], kind: TextKind) -> "NDArray[np.float32]":
        """Return one row for each text, shape (texts, dimensions). Waits while the encoder starts.

        Raises `EncoderUnavailable`. Cancelling it takes the texts out of the queue.
        """
        ...

    async def rerank(self, query: str, passages: Sequence[str]) -> "NDArray[np.float32]":
        """Return how well each passage answers, 0 to 1. Raises `EncoderUnavailable`."""
        ...

    async def wait_ready(self, within_s: float) -> bool:
        """Wait until it is ready, at most that long, and say whether it is."""
        ...


class CountingEncoder(Encoder, Protocol):
    """An encoder that also counts, as an API does that reports usage. `open_encoder` gives one."""

    async def embed_counted(self, texts: Sequence[str], kind: TextKind, *, count_cut: bool = False) -> Embedded:
        """As `embed`, with the tokens. To tell which texts were cut costs time for those that may have been."""
        ...

    def tokenizer_file(self) -> Path | None:
        """Return the model's `tokenizer.json`, if the model is on this machine and has one. Reads the disk."""
        ...
