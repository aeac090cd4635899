"""The one address that agents' requests may go to, and the credential that goes with them and never comes back."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import orjson
from yarl import URL

from shared.logging import get_logger

_log = get_logger("nanocoder")

_MAX_ERROR = 16_384
_PIECE = 1 << 16
_PASSED_ON = frozenset({"application/json", "text/event-stream"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A model server's answer on its way. Reading `pieces` may raise `UpstreamBroke`."""

    status: int
    media_type: str
    pieces: AsyncIterator[bytes]


class UpstreamBroke(Exception):
    """The model's server could not be reached or broke off; the message may be read inside."""

    def __init__(self, message: str, *, status: int = 502) -> None:
        super().__init__(message)
        self.status = status


class Upstream:
    """An OpenAI-compatible server at `base_url`. `api_key` None: none is sent. Redirects are not followed."""

    def __init__(self, *, session: aiohttp.ClientSession, base_url: str, model: str, api_key: str | None) -> None:
        self.model = model
        self._session = session
        self._chat = URL(f"{base_url.rstrip('/')}/chat/completions")
        self._api_key = api_key

    @asynccontextmanager
    async def chat(self, body: bytes) -> AsyncGenerator[Answer]:
        """Ask for a completion. Raises `UpstreamBroke`; an error that the server words itself is an answer."""
        headers = {"content-type": "application/json"}
        if self._api_key:
            headers["authorization"] = f"Bearer {self._api_key}"
        try:
            response = await self._session.post(self._chat, data=body, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, OSError) as error:
            _log.warning("model_server_unreachable", url=str(self._chat), error=repr(error))
            raise UpstreamBroke("The model's server cannot be reached.") from None
        async with response:
            if response.status in {401, 403} or 300 <= response.status < 400:
                _log.warning("model_server_refused", url=str(self._chat), status=response.status)
                raise UpstreamBroke("The model's server does not let this service in; its operator must look at it.")
            if response.status >= 400:
                yield await self._error(response)
            else:
                yield Answer(response.status, _media_type(response), _pieces(response))

    async def _error(self, response: aiohttp.ClientResponse) -> Answer:
        """Pass on an error's words without the credential, should the server have repeated it."""
        said = b""
        async for piece in _pieces(response):
            said += piece
            if len(said) > _MAX_ERROR:
                break
        if self._api_key:
            said = said.replace(self._api_key.encode(), b"[key]")
        return Answer(response.status, "application/json", _once(_as_json_error(said, response.status)))


def models_list(model: str) -> bytes:
    """Render the answer of `GET /v1/models`: the one model there is."""
    return orjson.dumps({"object": "list", "data": [{"id": model, "object": "model", "owned_by": "twinport"}]})


def error_body(message: str, kind: str) -> bytes:
    """Render an error in OpenAI's shape."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": None}})


def _as_json_error(said: bytes, status: int) -> bytes:
    try:
        orjson.loads(said)
    except orjson.JSONDecodeError:
        return error_body(f"The model's server answered {status}.", "server_error")
    return said


def _media_type(response: aiohttp.ClientResponse) -> str:
    return response.content_type if response.content_type in _PASSED_ON else "application/octet-stream"


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        while piece := await response.content.read(_PIECE):
            yield piece
    except (aiohttp.ClientError, OSError) as error:
        raise UpstreamBroke(f"The model's server broke off: {type(error).__name__}.") from None


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
