"""HTTP to an Ollama server: opening requests, reading NDJSON, and translating every failure, once, at this seam."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import aiohttp
import orjson

from main_api.backends.errors import ModelNotFound
from shared.errors import (
    DeadlineExceeded,
    InvalidRequest,
    PayloadTooLarge,
    RateLimited,
    TwinportError,
    Unavailable,
    UpstreamFailed,
)
from shared.logging import get_logger
from shared.tools_contract import JsonObject

_log = get_logger("ollama")

_QUESTION_LIMITS = aiohttp.ClientTimeout(total=10)
_LARGEST_LINE = 8 * 1024 * 1024
_PATH = re.compile(r"(^|[\s\"'=:(])[/\\~]\S|[A-Za-z]:\\")


class OllamaClient:
    """Speaks to one server. Both methods raise the tree of `shared.errors`; `model` is named in what they raise."""

    def __init__(self, base_url: str, session: aiohttp.ClientSession) -> None:
        self._base_url = base_url.rstrip("/")
        self._session = session

    async def ask(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        """Get one object, within ten seconds."""
        model = str(body["model"]) if body else ""
        async with self._opened(method, path, body, model=model, limits=_QUESTION_LIMITS) as response:
            return _object(await response.read())

    async def objects(self, path: str, body: JsonObject) -> AsyncGenerator[JsonObject, None]:
        """Post and yield the objects of the NDJSON answer, however the network cut it; an `error` object raises."""
        async with (
            self._opened("POST", path, body, model=str(body["model"])) as response,
            aclosing(_lines(response)) as lines,
        ):
            async for line in lines:
                yield _object(line)

    @asynccontextmanager
    async def _opened(
        self,
        method: str,
        path: str,
        body: JsonObject | None,
        *,
        model: str,
        limits: aiohttp.ClientTimeout | None = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        extra: dict[str, Any] = {"timeout": limits} if limits else {}
        if body is not None:
            extra |= {"data": orjson.dumps(body), "headers": {"content-type": "application/json"}}
        try:
            async with self._session.request(method, self._base_url + path, allow_redirects=False, **extra) as response:
                if response.status != 200:
                    raise _refusal(response, await response.read(), model)
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unavailable(
                f"Ollama is not running at {self._base_url}; start it or change OLLAMA_BASE_URL."
            ) from error
        except TimeoutError as error:
            raise DeadlineExceeded("Ollama was silent for too long; try again or choose a smaller model.") from error
        except aiohttp.ClientError as error:
            raise UpstreamFailed("Ollama broke off the connection; try again.") from error


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    rest = b""
    async for piece in response.content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _LARGEST_LINE:
            raise UpstreamFailed("Ollama sent a line that is too long to be an answer.")
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        yield rest


def _object(line: bytes) -> JsonObject:
    try:
        parsed: Any = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UpstreamFailed("Ollama answered with something that is not JSON, or broke off.") from error
    if not isinstance(parsed, dict):
        raise UpstreamFailed("Ollama answered with something that is not an object.")
    answer = cast("JsonObject", parsed)
    if "error" in answer:
        raise UpstreamFailed(f"Ollama failed: {_harmless(str(answer['error']))}")
    return answer


def _refusal(response: aiohttp.ClientResponse, body: bytes, model: str) -> TwinportError:
    said = _harmless(_error_text(body))
    wait = response.headers.get("retry-after", "")
    retry_after = float(wait) if wait.isdigit() else None
    errors: dict[int, TwinportError] = {
        400: InvalidRequest(f"Ollama refused the request: {said}"),
        401: Unavailable(f"Ollama may not run this model: {said}. Run `ollama signin` on its machine."),
        402: Unavailable(f"Ollama may not run this model: {said}. See the account of its machine."),
        403: Unavailable(f"Ollama may not run this model: {said}."),
        404: ModelNotFound(f"ollama/{model}", f"Pull it first: `ollama pull {model}`."),
        413: PayloadTooLarge("The request is larger than Ollama takes; send less or smaller images."),
        429: RateLimited("Ollama has too many requests; try again later.", retry_after=retry_after),
        503: Unavailable(f"Ollama is overloaded: {said}", retry_after=retry_after),
    }
    return errors.get(response.status) or UpstreamFailed(f"Ollama failed with status {response.status}: {said}")


def _error_text(body: bytes) -> str:
    try:
        parsed: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    match parsed:
        case {"error": str(text)}:
            return text
        case _:
            return ""


def _harmless(text: str) -> str:
    """Keep Ollama's own words unless they show paths of its machine; those go to our log only."""
    if _PATH.search(text):
        _log.warning("error text withheld from the caller", text=text)
        return "see the log of Ollama"
    return text[:500] or "see the log of Ollama"
