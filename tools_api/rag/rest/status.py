"""`GET /v1/rag/status`: how the embedding model and the queue stand."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict

from shared.errors import TwinportError
from tools_api.embeddings.protocol import Encoder
from tools_api.invoke.deps import SECURITY
from tools_api.rag.deps import OwnerDep, RetrievalDep
from tools_api.rag.responses import errors
from tools_api.rag.retrieval import RagUnavailable

router = APIRouter(prefix="/v1/rag", tags=["rag"], dependencies=SECURITY)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class EncoderAnswer(_Answer):
    """The embedding model, as far as it is known. While it is `starting`, searches go by words alone; `reason` says
    what it waits for or what is wrong, `waiting_s` for how long it has been starting."""

    state: Literal["starting", "ready", "failed"]
    reason: str | None
    waiting_s: float
    model: str | None
    dimensions: int | None
    max_tokens: int | None
    reranks: bool


class QueueAnswer(_Answer):
    """Documents of the person's collections that wait, that are worked on, and that failed."""

    queued: int = 0
    running: int = 0
    failed: int = 0


class StatusAnswer(_Answer):
    """`unavailable`: the paths of retrieval answer 503, for the `reason` given. The counts are of the collections that
    the person reaches."""

    object: Literal["rag.status"] = "rag.status"
    state: Literal["ready", "unavailable"]
    reason: str | None
    encoder: EncoderAnswer | None
    queue: QueueAnswer
    collections: int = 0
    documents: int = 0
    chunks: int = 0
    bytes: int = 0


async def _encoder(request: Request) -> Encoder | None:
    return request.state.encoder


@router.get("/status", responses=errors(400))
async def rag_status(
    owner: OwnerDep, retrieval: RetrievalDep, encoder: Annotated[Encoder | None, Depends(_encoder)]
) -> StatusAnswer:
    """Say how retrieval stands: the embedding model, what is waiting to be indexed, what there is."""
    about = await _encoder_answer(encoder) if encoder is not None else None
    try:
        parts = await retrieval.parts()
        collections, contents = await parts.collections.holdings(owner)
    except RagUnavailable as error:
        return StatusAnswer(state="unavailable", reason=error.message, encoder=about, queue=QueueAnswer())
    return StatusAnswer(
        state="ready",
        reason=None,
        encoder=about,
        queue=QueueAnswer(queued=contents.queued, running=contents.running, failed=contents.failed),
        collections=collections,
        documents=contents.documents,
        chunks=contents.chunks,
        bytes=contents.bytes,
    )


async def _encoder_answer(encoder: Encoder) -> EncoderAnswer:
    status = encoder.status
    try:
        model = await encoder.model()
    except TwinportError:  # one that can't be reached says so in its status
        model = None
    return EncoderAnswer(
        state=status.state,
        reason=status.reason,
        waiting_s=round(status.waiting_s, 1),
        model=model and model.name,
        dimensions=model and model.dimensions,
        max_tokens=model and model.max_tokens,
        reranks=encoder.can_rerank,
    )
