"""`POST /v1/embeddings` in OpenAI's protocol."""

import asyncio
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError
from starlette.responses import Response

from main_api.auth.deps import require_scope
from main_api.auth.principal import Principal
from main_api.dialects.errors import validation_failure
from main_api.dialects.openai.json_body import json_body
from main_api.embeddings.schemas import EmbeddingsRequest
from main_api.embeddings.service import EmbeddingService
from shared.disconnect import while_connected
from shared.sse import ServerStops

_BODY_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": EmbeddingsRequest.model_json_schema()}},
    }
}

router = APIRouter(tags=["openai"])


async def _embeddings(request: Request) -> EmbeddingService:
    return cast("EmbeddingService", request.state.embeddings)


@router.post("/v1/embeddings", response_class=Response, openapi_extra=_BODY_SCHEMA)
async def create_embeddings(
    request: Request,
    principal: Annotated[Principal, Depends(require_scope("chat"))],
    embeddings: Annotated[EmbeddingService, Depends(_embeddings)],
) -> Response:
    """Make vectors of texts. The model is the one that also indexes documents (`GET /v1/models` lists it with the type
    `embedding`), or a provider's, like `openai/text-embedding-3-small`. Needs the scope `chat`.

    While the encoder still starts the answer is 503 with the code `encoder_warming_up` and `Retry-After`.
    """
    body = await json_body(request)
    try:
        asked = EmbeddingsRequest.model_validate(body)
    except ValidationError as error:
        raise validation_failure(error.errors(include_url=False, include_context=False, include_input=False)) from None
    try:
        answer = await while_connected(request.receive, embeddings.embed(asked, principal))
    except asyncio.CancelledError:
        raise ServerStops from None
    return Response(answer, media_type="application/json")
