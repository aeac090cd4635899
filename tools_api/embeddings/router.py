"""`/v1/embeddings`: texts to vectors in OpenAI's protocol."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from shared.disconnect import while_connected
from tools_api.embeddings.protocol import CountingEncoder
from tools_api.embeddings.service import EmbeddingsService
from tools_api.embeddings.wire import EmbeddingsRequest
from tools_api.invoke.deps import SECURITY, CallerDep, json_of
from tools_api.invoke.wire import read_json

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One embedding for each input, in their order",
        "headers": {
            "X-Truncated-Inputs": {
                "description": "How many inputs were longer than the model reads, if any",
                "schema": {"type": "integer"},
            }
        },
    },
    400: {"description": "The body is no request for embeddings, or an input is too long and may not be cut"},
    401: {"description": "No service key, or one that is not known"},
    404: {"description": "There is no such embedding model"},
    413: {"description": "The body is too large"},
    503: {"description": "The encoder is warming up (`encoder_warming_up`), or cannot be used (`encoder_unavailable`)"},
}
_BODY = {"content": {"application/json": {"schema": EmbeddingsRequest.model_json_schema()}}, "required": True}

router = APIRouter(prefix="/v1/embeddings", tags=["embeddings"], dependencies=SECURITY)


async def _service(request: Request) -> EmbeddingsService:
    encoder: CountingEncoder | None = request.state.encoder
    return EmbeddingsService(encoder)


async def _embeddings_request(request: Request) -> EmbeddingsRequest:
    return read_json(await json_of(request), EmbeddingsRequest)


@router.post("", responses=_RESPONSES, openapi_extra={"requestBody": _BODY})
async def create_embeddings(
    request: Request,
    _caller: CallerDep,
    wanted: Annotated[EmbeddingsRequest, Depends(_embeddings_request)],
    service: Annotated[EmbeddingsService, Depends(_service)],
) -> Response:
    """Turn texts into vectors of length 1 with the model of retrieval. Works with OpenAI's SDKs.

    `usage` counts the tokens that the model read, its special ones included. While the model loads after a start the
    answer is 503 with the code `encoder_warming_up` and `Retry-After`.
    """
    answer = await while_connected(request.receive, service.create(wanted))
    headers = {"X-Truncated-Inputs": str(answer.cut)} if answer.cut else {}
    return Response(answer.body, media_type="application/json", headers=headers)
