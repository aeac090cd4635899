"""Vectors from any OpenAI-compatible `/embeddings`: a provider's, vLLM's, Ollama's, another Twinport's."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from tools_api.embeddings.errors import EncoderUnavailable, TextsRefused
from tools_api.embeddings.options import RemoteOptions
from tools_api.embeddings.protocol import Embedded, Encoder, EncoderModel, EncoderStatus, TextKind
from tools_api.embeddings.remote_call import RemoteCall, RemoteFailure, RemoteRefusal
from tools_api.embeddings.remote_wire import Vectors, read_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH_TEXTS = 128
_BATCH_CHARACTERS = 200_000
_AT_ONCE = 4
"""Requests that are under way at the same time for passages; questions wait for none of them."""
_MAX_TOKENS = 8191
"""What is assumed that a remote model reads; the API itself refuses what is too long for it."""


class RemoteEncoder:
    """Implements `CountingEncoder`. Reranking, which OpenAI's API does not have, is left to the `reranker`."""

    def __init__(self, name: str, options: RemoteOptions, http: aiohttp.ClientSession, *, reranker: Encoder) -> None:
        self._name = name
        self._call = RemoteCall(name, options, http)
        self._dimensions = options.dimensions
        self._reranker = reranker
        self._status = EncoderStatus("starting", "the API for embeddings was not asked yet")
        self._turns = asyncio.Semaphore(_AT_ONCE)

    @property
    def status(self) -> EncoderStatus:
        return self._status

    @property
    def can_rerank(self) -> bool:
        return self._reranker.can_rerank

    async def model(self) -> EncoderModel:
        if self._dimensions is None:
            await self.embed(["dimensions"], "query")
        assert self._dimensions is not None  # noqa: S101 -- found by any answer
        return EncoderModel(
            name=self._name,
            dimensions=self._dimensions,
            max_tokens=_MAX_TOKENS,
            fingerprint=f"{self._name}@remote:{self._dimensions}",
        )

    async def embed(self, texts: Sequence[str], kind: TextKind) -> "NDArray[np.float32]":
        return (await self.embed_counted(texts, kind)).rows

    async def embed_counted(self, texts: Sequence[str], kind: TextKind, *, count_cut: bool = False) -> Embedded:
        """As `Encoder.embed`. Nothing is cut here: the API refuses what is too long for its model."""
        _ = count_cut
        if not texts:
            import numpy as np

            return Embedded(np.empty((0, (await self.model()).dimensions), dtype=np.float32), 0, 0)
        parts = _parts(texts)
        failure: Exception | None = None
        found: list[asyncio.Task[Vectors]] = []
        try:
            async with asyncio.TaskGroup() as group:
                found = [group.create_task(self._part(texts[start:end], kind)) for start, end in parts]
        except* RemoteFailure as failures:
            failure = next(
                (one for one in failures.exceptions if not isinstance(one, RemoteRefusal)), failures.exceptions[0]
            )
        if failure is not None:
            refused = isinstance(failure, RemoteRefusal)
            if not refused or self._status.state != "ready":
                self._status = EncoderStatus("failed", str(failure))
            error = TextsRefused if refused else EncoderUnavailable
            raise error(f"There are no vectors now: {failure}.", retry_after=30) from failure
        return await asyncio.to_thread(_joined, [part.result() for part in found])

    async def rerank(self, query: str, passages: Sequence[str]) -> "NDArray[np.float32]":
        return await self._reranker.rerank(query, passages)

    async def wait_ready(self, within_s: float) -> bool:
        """Ask the API once if it was never asked, or failed when it was asked last."""
        if self._status.state != "ready":
            with contextlib.suppress(EncoderUnavailable, TimeoutError):
                async with asyncio.timeout(within_s):
                    await self.embed(["ready"], "query")
        return self._status.state == "ready"

    def tokenizer_file(self) -> Path | None:
        return None

    async def _part(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        if kind == "query":
            return await self._vectors(texts, kind)
        async with self._turns:
            return await self._vectors(texts, kind)

    async def _vectors(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        body = await self._call.post(texts, patient=kind == "passage")
        vectors = await asyncio.to_thread(read_vectors, body, len(texts))
        found = int(vectors.rows.shape[1])
        if self._dimensions not in {None, found}:
            raise RemoteFailure(f"the API answers with {found} dimensions, and {self._dimensions} are expected")
        self._dimensions = found
        self._status = EncoderStatus("ready")
        return vectors


def _parts(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Return (start, end) of parts with a bounded number of texts and, but for a single long one, of characters."""
    parts: list[tuple[int, int]] = []
    start = characters = 0
    for place, text in enumerate(texts):
        if place > start and (place - start == _BATCH_TEXTS or characters + len(text) > _BATCH_CHARACTERS):
            parts.append((start, place))
            start, characters = place, 0
        characters += len(text)
    return [*parts, (start, len(texts))]


def _joined(parts: Sequence[Vectors]) -> Embedded:
    import numpy as np

    return Embedded(np.concatenate([part.rows for part in parts]), sum(part.tokens for part in parts), 0)
