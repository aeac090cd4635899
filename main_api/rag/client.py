"""The tools API's `/v1/rag/…` over HTTP: bodies and answers are streamed through, errors become ours.

Nothing is retried: a call may have had effects. Leaving the context closes the connection, which cancels the call.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import orjson
from yarl import URL

from main_api.rag.call import RagCall
from main_api.rag.refusal import Refused
from shared.errors import DeadlineExceeded, Unavailable, UpstreamFailed
from shared.logging import get_logger
from shared.request_id import HEADER, current_request_id
from shared.tools_contract import JsonObject

_log = get_logger("rag")

ACTING_FOR = "x-acting-for"
"""Names the person for whom a service calls; the tools API keeps people of one service apart by it."""

_CONNECT_S = 1.0
_LARGEST_OBJECT = 8 * 2**20
_LARGEST_ERROR = 65_536
_OUT_OF_REACH = "The tools API cannot be reached; documents are off for the moment. Try again in a while."


class RagClient:
    """The tools API at `base_url`, called with this server's service key."""

    def __init__(self, *, base_url: str, api_key: str, session: aiohttp.ClientSession) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._session = session

    @asynccontextmanager
    async def open(self, call: RagCall) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Send a call and yield its good answer, the body unread.

        Raises `Refused` with what the tools API says, `Unavailable` if it is down or refuses our key,
        `DeadlineExceeded`, `UpstreamFailed`.
        """
        response = await self._send(call)
        try:
            if response.status >= 300:
                raise await _refusal(response)
            yield response
        finally:
            response.close()

    async def object(self, call: RagCall) -> JsonObject:
        """Send a call and return its JSON object, {} for an empty answer. Raises as `open` does.

        An answer that is not whole is no empty one: whoever lists what there is would take it for nothing.
        """
        async with self.open(call) as response:
            raw = await _read_capped(response, _LARGEST_OBJECT)
        if raw is None:
            raise UpstreamFailed("The answer of the tools API did not come whole; try again.")
        if not raw:
            return {}
        found = _json_object(raw)
        if found is None:
            raise UpstreamFailed("The tools API gave an answer that cannot be read.")
        return found

    async def _send(self, call: RagCall) -> aiohttp.ClientResponse:
        headers = {
            **call.headers,
            "authorization": f"Bearer {self._api_key}",
            ACTING_FOR: call.person,
            HEADER: current_request_id(),
            "accept-encoding": "identity",
        }
        try:
            return await self._session.request(
                call.method,
                URL(self._base_url + call.target, encoded=True),
                data=call.body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=call.silence_s),
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            _log.warning("tools_api_unreachable", error=type(error).__name__)
            raise Unavailable(_OUT_OF_REACH, retry_after=5) from None
        except TimeoutError:
            raise DeadlineExceeded("The tools API did not answer in time.") from None
        except (aiohttp.ClientError, OSError) as error:
            _log.warning("tools_api_broke_off", error=type(error).__name__)
            raise UpstreamFailed("The tools API broke the connection; try again.") from None


async def _refusal(response: aiohttp.ClientResponse) -> Exception:
    """Turn an answer that is no success into an error: the tools API's own words, where they are meant for a caller."""
    if response.status == 401:
        _log.error("tools_api_refuses_key")
        return Unavailable("The tools API refuses this server's key (TOOLS_API_KEY).")
    said = _json_object(await _read_capped(response, _LARGEST_ERROR) or b"")
    refused = Refused.of(response.status, said, response.headers.get("retry-after"))
    if refused is None:
        _log.error("tools_api_failed", status=response.status)
        return UpstreamFailed(f"The tools API failed ({response.status}).")
    return refused


async def _read_capped(response: aiohttp.ClientResponse, cap: int) -> bytes | None:
    """Read the body, None if it is larger than may be or breaks off."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_chunked(65_536):
            body += chunk
            if len(body) > cap:
                return None
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
    return bytes(body)


def _json_object(raw: bytes) -> JsonObject | None:
    try:
        value: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return cast("JsonObject", value) if isinstance(value, dict) else None
