"""The encoder of the tools API: it makes vectors, and says which model it has."""

import time
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
import orjson

from main_api.auth.principal import Principal
from main_api.backends.protocol import Capabilities, ModelInfo
from main_api.rag.call import RagCall, target_of
from main_api.rag.client import RagClient
from shared.errors import TwinportError, UpstreamFailed
from shared.single_flight import SingleFlight
from shared.tools_contract import JsonObject

LARGEST_ANSWER = 64 * 2**20
"""2,048 vectors of 3,072 numbers, in base64."""

_JSON = {"content-type": "application/json"}
_SILENCE_S = 120.0
_LOOK_S = 2.0
_KEPT_S = 5.0
_NOBODY = "status"


@dataclass(frozen=True, slots=True)
class EncoderModel:
    """The model that the encoder has."""

    name: str
    dimensions: int | None


class ToolsEncoder:
    """The encoder behind `client`."""

    def __init__(self, client: RagClient) -> None:
        self._client = client
        self._known: EncoderModel | None = None
        self._known_until = 0.0
        self._asking = SingleFlight(self._ask)

    async def embed(self, body: JsonObject, principal: Principal) -> bytes:
        """Return the answer in OpenAI's shape. Raises as `RagClient.open` does."""
        call = RagCall(
            method="POST",
            target="/v1/embeddings",
            person=principal.person,
            headers=_JSON,
            body=orjson.dumps(body),
            silence_s=_SILENCE_S,
        )
        async with self._client.open(call) as response:
            return await _whole(response)

    async def models(self) -> list[ModelInfo]:
        """List the encoder's model, as one that makes vectors; nothing while the tools API cannot be asked."""
        known = await self._model()
        if known is None:
            return []
        info = ModelInfo(
            id=known.name,
            owned_by="twinport",
            description="Makes vectors of texts (POST /v1/embeddings); it does not chat.",
            kind="embedding",
            dimensions=known.dimensions,
            capabilities=Capabilities(tool_mode="text", json_schema=False, multiple_choices=False, logprobs=False),
        )
        return [info]

    async def aclose(self) -> None:
        """Stop asking."""
        await self._asking.aclose()

    async def _model(self) -> EncoderModel | None:
        if time.monotonic() >= self._known_until:
            self._known = await self._asking.result()
            self._known_until = time.monotonic() + _KEPT_S
        return self._known

    async def _ask(self) -> EncoderModel | None:
        target = target_of(["status"])
        try:
            status = await self._client.object(RagCall(method="GET", target=target, person=_NOBODY, silence_s=_LOOK_S))
        except TwinportError:
            return None
        return _model_in(status.get("encoder"))


def _model_in(encoder: object) -> EncoderModel | None:
    """Read what `GET /v1/rag/status` says of the encoder."""
    if not isinstance(encoder, dict):
        return None
    said = cast("JsonObject", encoder)
    name: Any = said.get("model")
    dimensions: Any = said.get("dimensions")
    if not isinstance(name, str) or not name:
        return None
    return EncoderModel(name, dimensions if isinstance(dimensions, int) else None)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    try:
        async for chunk in response.content.iter_chunked(65_536):
            body += chunk
            if len(body) > LARGEST_ANSWER:
                raise UpstreamFailed("The tools API sent more vectors than fit.")
    except (aiohttp.ClientError, OSError, TimeoutError):
        raise UpstreamFailed("The tools API broke off while it sent the vectors; try again.") from None
    return bytes(body)
