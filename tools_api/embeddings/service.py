"""Embeddings for programs: the encoder of retrieval behind OpenAI's protocol."""

import asyncio
import base64
from dataclasses import dataclass
from typing import Any

import orjson

from shared.errors import InvalidRequest, NotFound
from tools_api.embeddings.errors import EncoderUnavailable, EncoderWarmingUp
from tools_api.embeddings.protocol import CountingEncoder, Embedded, EncoderModel
from tools_api.embeddings.wire import EmbeddingsRequest

_PATIENCE_S = 5.0
"""How long a call waits for an encoder that starts, before it is told to come back."""
_COME_BACK_S = 5.0


class ModelNotFound(NotFound):
    code = "model_not_found"


class InputTooLong(InvalidRequest):
    code = "context_length_exceeded"


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is OpenAI's answer as JSON; `cut` how many inputs were longer than the model reads."""

    body: bytes
    cut: int


class EmbeddingsService:
    def __init__(self, encoder: CountingEncoder | None, *, patience_s: float = _PATIENCE_S) -> None:
        self._encoder = encoder
        self._patience_s = patience_s

    async def create(self, request: EmbeddingsRequest) -> Answer:
        """Embed the inputs. Raises `ModelNotFound`, `InvalidRequest`, `InputTooLong`, `EncoderUnavailable`."""
        encoder = await self._ready()
        model = await encoder.model()
        _check(request, model)
        found = await encoder.embed_counted(request.texts, request.input_type, count_cut=True)
        if found.cut and not request.truncate:
            raise InputTooLong(
                f"{model.name} reads {model.max_tokens} tokens of an input, and {found.cut} of these are longer. "
                "Split them, or let them be cut with `truncate: true`.",
                param="input",
            )
        body = await asyncio.to_thread(_rendered, found, model.name, as_base64=request.encoding_format == "base64")
        return Answer(body, found.cut)

    async def _ready(self) -> CountingEncoder:
        if self._encoder is None:
            raise EncoderUnavailable("There is no encoder in this process.")
        if not await self._encoder.wait_ready(self._patience_s):
            status = self._encoder.status
            if status.state == "failed":
                raise EncoderUnavailable(f"There are no embeddings now: {status.reason}.", retry_after=60)
            raise EncoderWarmingUp(f"The encoder is warming up: {status.reason}.", retry_after=_COME_BACK_S)
        return self._encoder


def _check(request: EmbeddingsRequest, model: EncoderModel) -> None:
    if request.model != model.name:
        raise ModelNotFound(
            f"There is no embedding model {request.model!r} here; this one is {model.name!r}.", param="model"
        )
    if request.dimensions not in {None, model.dimensions}:
        raise InvalidRequest(
            f"dimensions: {model.name} gives {model.dimensions}, and shortened they would mean little.",
            param="dimensions",
        )


def _rendered(found: Embedded, name: str, *, as_base64: bool) -> bytes:
    """Render OpenAI's answer; base64 is that of little-endian float32."""
    rows: list[Any] = [base64.b64encode(row.tobytes()).decode() if as_base64 else row for row in found.rows]
    answer = {
        "object": "list",
        "data": [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)],
        "model": name,
        "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
    }
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
