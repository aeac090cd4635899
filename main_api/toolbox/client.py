"""The tools API over HTTP, as a `Toolbox`: every way in which it can fail becomes words that a model can read.

Nothing here is retried: a tool may have had effects. Cancelling closes the connection, which cancels the tool.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import quote

import aiohttp
import orjson
from pydantic import BaseModel, ValidationError

from main_api.toolbox.catalog import Catalog
from shared.errors import NotFound, Unavailable, UpstreamFailed
from shared.logging import get_logger
from shared.request_id import HEADER, current_request_id
from shared.tools_contract import InvokeRequest, JsonObject, ToolDefinition, ToolList, ToolResult

_log = get_logger("toolbox")

Model = TypeVar("Model", bound=BaseModel)

_MAX_ANSWER = 8 * 2**20
_DEFINITIONS_TIMEOUT_S = 5.0
_HEALTH_TIMEOUT_S = 2.0
_MARGIN_S = 1.0
"""Added to a call's own limit on our side, so that the tools API's better message arrives first."""
_LONGEST_DEADLINE_MS = 600_000
_TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ARTIFACT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_OUT_OF_REACH = "The tools API cannot be reached; tools are off for the moment."


@dataclass(frozen=True, slots=True)
class ToolsHealth:
    """Whether the tools API answers, and what it says of itself."""

    reachable: bool
    status: str
    details: JsonObject


@dataclass(frozen=True, slots=True)
class ArtifactDownload:
    """A file of a tool on its way. `size` is None if it was not declared."""

    media_type: str
    size: int | None
    content_disposition: str | None
    chunks: AsyncIterator[bytes]


class _BadAnswer(Exception):
    """The tools API answered something that the contract does not know."""


class ToolsClient:
    """The tools API at `base_url`. `timeout_s` is what one call of a tool that asks for no more may take,
    `definitions_ttl_s` how long the list of tools is taken as it is."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        session: aiohttp.ClientSession,
        timeout_s: float = 30.0,
        definitions_ttl_s: float = 5.0,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._session = session
        self._timeout_s = timeout_s
        self._catalog = Catalog(self._fetch_definitions, fresh_s=definitions_ttl_s)

    async def definitions(self, allowed: Sequence[str] | None = None) -> list[ToolDefinition]:
        """See `Toolbox.definitions`. While the tools API is down, the last known tools are listed as not available."""
        return await self._catalog.definitions(allowed)

    def of_person(self, person: str) -> "PersonsToolbox":
        """Return the same tools, called for `person`."""
        return PersonsToolbox(self, person)

    async def invoke(
        self, name: str, arguments: JsonObject, *, workspace: str | None = None, acting_for: str | None = None
    ) -> ToolResult:
        """See `Toolbox.invoke`; `acting_for` is the person for whom it is called."""
        name = self._catalog.resolve(name)
        if not _TOOL_NAME.fullmatch(name):
            return ToolResult.failed("unknown_tool", f"There is no tool {name[:80]!r}.")
        timeout_s = max(self._timeout_s, self._catalog.timeout_of(name) or 0)
        deadline_ms = max(1, min(int(timeout_s * 1000), _LONGEST_DEADLINE_MS))
        try:
            request = InvokeRequest(
                arguments=arguments,
                workspace=workspace,
                deadline_ms=deadline_ms,
                request_id=current_request_id()[:128],
                acting_for=acting_for,
            )
            body = orjson.dumps(
                request.model_dump(exclude_unset=True, exclude=None if acting_for else {"acting_for"})
            )  # an older tools API refuses newer fields
        except (ValidationError, TypeError) as error:
            return ToolResult.failed("invalid_arguments", f"The call cannot be sent: {str(error)[:300]}")
        return await self._invoke(name, body, timeout_s=timeout_s)

    async def health(self) -> ToolsHealth:
        """Ask the tools API how it is, and whether it knows our key; never raises for its state."""
        try:
            status, raw = await self._exchange("GET", "/health", timeout_s=_HEALTH_TIMEOUT_S)
            details = _as_object(raw)
            key_status, _ = await self._exchange("GET", "/v1/tools", timeout_s=_HEALTH_TIMEOUT_S)
        except (aiohttp.ClientError, OSError, TimeoutError, _BadAnswer):
            return ToolsHealth(reachable=False, status="unreachable", details={})
        if key_status in {401, 403}:
            return ToolsHealth(reachable=False, status="refuses our key", details=details)
        said = details.get("status")
        return ToolsHealth(True, said if isinstance(said, str) else ("ok" if status == 200 else "error"), details)

    @asynccontextmanager
    async def artifact(self, artifact_id: str) -> AsyncGenerator[ArtifactDownload, None]:
        """Open a file that a tool made. Raises `NotFound`, `Unavailable` or `UpstreamFailed` before the first byte."""
        if not _ARTIFACT_ID.fullmatch(artifact_id):
            raise NotFound("There is no such artifact.")
        try:
            response = await self._request("GET", f"/v1/artifacts/{artifact_id}", read_timeout_s=self._timeout_s)
        except (aiohttp.ClientError, OSError, TimeoutError):
            raise Unavailable(_OUT_OF_REACH) from None
        async with response:
            if response.status == 404:
                raise NotFound("There is no such artifact.")
            if response.status != 200:
                raise UpstreamFailed(f"The tools API answered {response.status} for an artifact.")
            yield ArtifactDownload(
                media_type=response.headers.get("content-type", "application/octet-stream"),
                size=response.content_length,
                content_disposition=response.headers.get("content-disposition"),
                chunks=_chunks(response),
            )

    async def _invoke(self, name: str, body: bytes, *, timeout_s: float) -> ToolResult:
        path = f"/v1/tools/{quote(name, safe='')}/invoke"
        try:
            status, raw = await self._exchange("POST", path, timeout_s=timeout_s + _MARGIN_S, body=body)
            return _result(name, status, raw)
        except TimeoutError:
            return ToolResult.failed("timeout", f"The tool did not answer within {timeout_s:g} s and was stopped.")
        except (aiohttp.ClientError, OSError) as error:
            _log.warning("tools_api_unreachable", tool=name, error=type(error).__name__)
            return ToolResult.failed("tools_unavailable", _OUT_OF_REACH)
        except _BadAnswer as error:
            _log.error("tools_api_bad_answer", tool=name, problem=str(error))
            return ToolResult.failed("tools_unavailable", "The tools API gave an answer that cannot be read.")

    async def _fetch_definitions(self) -> tuple[ToolDefinition, ...]:
        """Ask for the tools. Raises `Unavailable`."""
        try:
            status, raw = await self._exchange("GET", "/v1/tools", timeout_s=_DEFINITIONS_TIMEOUT_S)
            return _tool_list(status, raw)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.warning("tools_api_unreachable", error=type(error).__name__)
        except _BadAnswer as error:
            _log.error("tools_api_bad_answer", problem=str(error))
        raise Unavailable(_OUT_OF_REACH, retry_after=5)

    async def _exchange(
        self, method: str, path: str, *, timeout_s: float, body: bytes | None = None
    ) -> tuple[int, bytes]:
        """Send one request and read its answer, no more of it than may be."""
        async with asyncio.timeout(timeout_s):
            async with await self._request(method, path, body=body) as response:
                return response.status, await _read_capped(response)

    async def _request(
        self, method: str, path: str, *, body: bytes | None = None, read_timeout_s: float | None = None
    ) -> aiohttp.ClientResponse:
        headers = {
            "authorization": f"Bearer {self._api_key}",
            HEADER: current_request_id(),
            "accept-encoding": "identity",
        }
        if body is not None:
            headers["content-type"] = "application/json"
        return await self._session.request(
            method,
            self._base_url + path,
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=read_timeout_s),
        )


@dataclass(frozen=True, slots=True)
class PersonsToolbox:
    """The toolbox of one person: turns, sessions and what else a tool keeps are that person's own."""

    client: ToolsClient
    person: str

    async def definitions(self, allowed: Sequence[str] | None = None) -> list[ToolDefinition]:
        """See `Toolbox.definitions`."""
        return await self.client.definitions(allowed)

    async def invoke(self, name: str, arguments: JsonObject, *, workspace: str | None = None) -> ToolResult:
        """See `Toolbox.invoke`."""
        return await self.client.invoke(name, arguments, workspace=workspace, acting_for=self.person)


def _result(name: str, status: int, raw: bytes) -> ToolResult:
    if status == 200:
        return _validated(ToolResult, raw)
    said = _error_message(raw)
    if status in {401, 403}:
        _log.error("tools_api_refuses_key", tool=name, status=status)
        return ToolResult.failed("tools_unavailable", "The tools API refuses this server's key (TOOLS_API_KEY).")
    if status == 404:
        return ToolResult.failed("unknown_tool", said or f"The tools API has no tool {name!r}.")
    if status in {400, 413, 422}:
        return ToolResult.failed("invalid_arguments", said or "The tools API refuses this call.")
    if status in {408, 504}:
        return ToolResult.failed("timeout", said or "The tool took too long and was stopped.")
    return ToolResult.failed(
        "tools_unavailable", said or f"The tools API answered {status}; the tool is off for the moment."
    )


def _tool_list(status: int, raw: bytes) -> tuple[ToolDefinition, ...]:
    if status != 200:
        raise _BadAnswer(f"status {status}")
    return _validated(ToolList, raw).data


def _error_message(raw: bytes) -> str | None:
    """Return the message of an error in OpenAI's shape, or of FastAPI's, capped."""
    try:
        body = _as_object(raw)
    except _BadAnswer:
        return None
    error: Any = body.get("error", body.get("detail"))
    message: Any = cast("JsonObject", error).get("message") if isinstance(error, dict) else error
    return message[:500] if isinstance(message, str) and message else None


def _as_object(raw: bytes) -> JsonObject:
    try:
        value: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _BadAnswer("not JSON") from None
    if not isinstance(value, dict):
        raise _BadAnswer("not an object")
    return cast("JsonObject", value)


def _validated(model: type[Model], raw: bytes) -> Model:
    try:
        return model.model_validate(_as_object(raw))
    except ValidationError as error:
        raise _BadAnswer(f"{error.error_count()} fields are wrong") from None


async def _read_capped(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > _MAX_ANSWER:
            response.close()
            raise _BadAnswer(f"more than {_MAX_ANSWER} bytes")
    return bytes(body)


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.content.iter_chunked(65_536):
            yield chunk
    except (aiohttp.ClientError, OSError, TimeoutError):
        raise UpstreamFailed("The tools API broke off while it sent an artifact.") from None
