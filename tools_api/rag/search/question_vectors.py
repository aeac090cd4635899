"""The vectors of questions, and what happens where there is none yet: the encoder starts, is busy, or is broken."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools_api.embeddings.errors import EncoderUnavailable, EncoderWarmingUp
from tools_api.embeddings.protocol import Encoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_REMEMBERED = 512
_NUDGE_EVERY_S = 5.0
WARMING_UP = "The embedding model is still being loaded: this was searched by words only. Ask again in a few seconds."


@dataclass(frozen=True, slots=True)
class QuestionVector:
    """A question's vector and the fingerprint of the model that made it; or `note` says why there is none."""

    fingerprint: str | None = None
    vector: "NDArray[np.float32] | None" = None
    note: str | None = None
    warming_up: bool = False


class QuestionVectors:
    """Asks the encoder, remembers the last answers, and knows how long waiting is worth it."""

    def __init__(self, encoder: Encoder, *, start_patience_s: float, busy_patience_s: float) -> None:
        self._encoder = encoder
        self._start_patience_s = start_patience_s
        self._busy_patience_s = busy_patience_s
        self._nudged: asyncio.Task[bool] | None = None
        self._nudge_again_at = 0.0
        self._known: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()

    async def needed(self, text: str) -> QuestionVector:
        """Return the vector. Raises `EncoderWarmingUp` if it still starts after a few seconds, `EncoderUnavailable`."""
        if not await self._encoder.wait_ready(self._start_patience_s) and self._encoder.status.state == "starting":
            raise EncoderWarmingUp(
                "The embedding model is still being loaded; ask again in a few seconds, or search with mode `words`.",
                retry_after=5,
            )
        return await self._vector(text)

    async def wished(self, text: str) -> QuestionVector:
        """Return the vector if it can be had now, else why not. Never raises for the encoder's sake."""
        status = self._encoder.status
        if status.state != "ready":
            self._nudge()
        if status.state == "starting":
            return QuestionVector(note=WARMING_UP, warming_up=True)
        if status.state == "failed":
            return QuestionVector(note=_without_vectors(status.reason))
        try:
            async with asyncio.timeout(self._busy_patience_s):
                return await self._vector(text)
        except EncoderWarmingUp:
            return QuestionVector(note=WARMING_UP, warming_up=True)
        except EncoderUnavailable as error:
            return QuestionVector(note=_without_vectors(error.message))
        except TimeoutError:
            return QuestionVector(note=_without_vectors("it is busy with other texts"))

    async def aclose(self) -> None:
        """Stop waiting for the encoder."""
        if self._nudged is not None:
            self._nudged.cancel()
            await asyncio.wait({self._nudged})

    def _nudge(self) -> None:
        """Let an encoder that only starts when it is needed start, and one that failed try again, in the background."""
        now = time.monotonic()
        if (self._nudged is None or self._nudged.done()) and now >= self._nudge_again_at:
            self._nudge_again_at = now + _NUDGE_EVERY_S
            self._nudged = asyncio.create_task(self._encoder.wait_ready(self._busy_patience_s))

    async def _vector(self, text: str) -> QuestionVector:
        fingerprint = (await self._encoder.model()).fingerprint
        if (known := self._known.get((fingerprint, text))) is not None:
            self._known.move_to_end((fingerprint, text))
            return QuestionVector(fingerprint, known)
        vector = (await self._encoder.embed([text], "query"))[0]
        self._known[fingerprint, text] = vector
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return QuestionVector(fingerprint, vector)


def _without_vectors(reason: str | None) -> str:
    return (
        f"This was searched by words only, because the embedding model cannot be used: {reason or 'it failed'}".rstrip(
            "."
        )
        + "."
    )
