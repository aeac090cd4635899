"""Who makes the vectors of a request, and whom it is charged to."""

import re

import orjson

from main_api.auth.principal import Principal
from main_api.backends.errors import ModelNotFound
from main_api.backends.protocol import EmbeddingBackend
from main_api.backends.router import ModelRouter
from main_api.chat.accounting import Accounting
from main_api.embeddings.encoder import ToolsEncoder
from main_api.embeddings.schemas import EmbeddingsRequest
from main_api.events import Usage
from main_api.usage.service import UsageRecorder
from shared.errors import NotFound, PermissionDenied, UpstreamFailed

_AGENT = "embeddings"
_USAGE = re.compile(rb'"usage"\s*:\s*(\{[^{}]{0,500}\})')
_ENDS = 2048


class EmbeddingService:
    """Vectors by a provider where the model's name begins with one, else by the tools API's encoder."""

    def __init__(self, router: ModelRouter, encoder: ToolsEncoder, usage: UsageRecorder) -> None:
        self._router = router
        self._encoder = encoder
        self._usage = usage

    async def embed(self, request: EmbeddingsRequest, principal: Principal) -> bytes:
        """Return the answer in OpenAI's shape, as its maker wrote it.

        Raises `ModelNotFound`, `PermissionDenied` for the tools' own key, and what the maker says no with.
        """
        if principal.credential == "service":
            raise PermissionDenied("The service key may ask for plain completions only.")
        provider = self._router.embedding_place(request.model)
        accounting = Accounting(self._usage, principal, model=request.model, agent=_AGENT)
        with accounting.run() as entry:
            if provider is not None:
                answer = await _by_provider(*provider, request)
            else:
                answer = await self._encoder.embed(request.wire(request.model), principal)
            entry.complete(_usage_in(answer))
        return answer


async def _by_provider(backend: EmbeddingBackend, model: str, request: EmbeddingsRequest) -> bytes:
    try:
        return await backend.embed(request.wire(model))
    except ModelNotFound:
        raise
    except NotFound as error:
        raise ModelNotFound(request.model, error.message) from error


def _usage_in(answer: bytes) -> Usage:
    """Read the tokens off one of the ends of an answer: its vectors are megabytes that nobody here has to read."""
    if not answer.startswith(b"{"):
        raise UpstreamFailed("The answer is not in OpenAI's shape.")
    found = _USAGE.search(answer, max(0, len(answer) - _ENDS)) or _USAGE.search(answer, 0, _ENDS)
    if found is None:
        return Usage()
    try:
        tokens: object = orjson.loads(found[1]).get("prompt_tokens")
    except orjson.JSONDecodeError:
        return Usage()
    return Usage(prompt_tokens=tokens) if isinstance(tokens, int) and tokens > 0 else Usage()
