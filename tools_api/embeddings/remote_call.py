"""One POST to a remote `/embeddings`, tried again where that may help."""

import asyncio
import random
from collections.abc import Sequence

import aiohttp
import orjson

from shared.logging import get_logger
from shared.retry_after import retry_after_of
from tools_api.embeddings.options import RemoteOptions

_log = get_logger("encoder")

_TRIES = {True: 6, False: 3}
"""For passages, which nobody waits for, and for questions."""
_LONGEST_PAUSE_S = {True: 60.0, False: 5.0}
_FIRST_PAUSE_S = 0.5
_MAX_ANSWER_BYTES = 64 * 1024 * 1024


class RemoteFailure(Exception):
    """The API gave no vectors; the message says why and what to do."""


class RemoteRefusal(RemoteFailure):
    """It gave none because of these texts, as far as its answer tells."""


class _Passing(Exception):
    """It may work in a moment. `retry_after` is in seconds, if the API said so."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class RemoteCall:
    def __init__(self, model: str, options: RemoteOptions, http: aiohttp.ClientSession) -> None:
        self._model = model
        self._options = options
        self._http = http
        self._asks_for_base64 = True

    async def post(self, texts: Sequence[str], *, patient: bool) -> bytes:
        """Return the answer's body. Raises `RemoteFailure`."""
        for attempt in range(_TRIES[patient]):
            try:
                return await self._once(texts)
            except _Passing as passing:
                reason, pause_s = str(passing), passing.retry_after
            _log.warning("embeddings_retried", reason=reason, attempt=attempt + 1)
            if pause_s is None:
                pause_s = random.uniform(0, _FIRST_PAUSE_S * 2**attempt)  # noqa: S311 -- jitter
            if attempt + 1 == _TRIES[patient] or pause_s > _LONGEST_PAUSE_S[patient]:
                raise RemoteFailure(reason)
            await asyncio.sleep(pause_s)
        raise AssertionError("unreachable")

    async def _once(self, texts: Sequence[str]) -> bytes:
        timeout = aiohttp.ClientTimeout(total=self._options.timeout_s)
        headers = {"Authorization": f"Bearer {self._options.api_key}"} if self._options.api_key else {}
        try:
            async with self._http.post(
                f"{self._options.url}/embeddings",
                data=orjson.dumps(self._body(texts)),
                headers={**headers, "Content-Type": "application/json"},
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                body = await _limited(answer)
                status, pause_s = answer.status, retry_after_of(answer.headers)
        except TimeoutError:
            raise _Passing("the API for embeddings did not answer in time") from None
        except aiohttp.ClientError as error:
            raise _Passing(f"the API for embeddings can't be reached ({type(error).__name__})") from None
        if status == 200:
            return body
        if status == 400 and self._asks_for_base64 and b"encoding_format" in body:
            self._asks_for_base64 = False  # an API that knows lists of numbers only
            return await self._once(texts)
        raise _failure(status, body, pause_s)

    def _body(self, texts: Sequence[str]) -> dict[str, object]:
        body: dict[str, object] = {"model": self._model, "input": [_utf8(text) for text in texts]}
        if self._asks_for_base64:
            body["encoding_format"] = "base64"
        if self._options.dimensions is not None:
            body["dimensions"] = self._options.dimensions
        return body


async def _limited(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(256 * 1024):
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise RemoteFailure("the API for embeddings answers with more than 64 MiB")
    return bytes(body)


def _failure(status: int, body: bytes, pause_s: float | None) -> Exception:
    match status:
        case 401 | 403:
            return RemoteFailure("the API for embeddings refuses the key; check RAG_EMBEDDINGS_API_KEY")
        case 404:
            return RemoteFailure(
                "the API for embeddings does not know the model or the path; check RAG_EMBEDDING_MODEL and "
                "RAG_EMBEDDINGS_URL, which ends before /embeddings"
            )
        case 408 | 409 | 429 | 500 | 502 | 503 | 504 | 529:
            return _Passing(f"the API for embeddings is overloaded or failing (status {status})", pause_s)
        case _ if 300 <= status < 400:
            return RemoteFailure("the API for embeddings redirects, which is not followed; check RAG_EMBEDDINGS_URL")
        case 400 | 413 | 422:
            return RemoteRefusal(f"the API for embeddings refuses the texts (status {status}{_words(body)})")
        case _:
            return RemoteFailure(f"the API for embeddings gives no vectors (status {status}{_words(body)})")


def _words(body: bytes) -> str:
    """Return what the API says of its refusal, for the operator who configured it."""
    try:
        message = orjson.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {message[:200]}" if isinstance(message, str) else ""


def _utf8(text: str) -> str:
    """Replace lone surrogates, which JSON in UTF-8 does not have."""
    return text.encode("utf-8", "replace").decode("utf-8")
