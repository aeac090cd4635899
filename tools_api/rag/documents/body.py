"""A request's body as the source of an upload: a form of files, or one text as JSON."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect

from shared.errors import ClientDisconnected, InvalidRequest, PayloadTooLarge, TwinportError
from tools_api.invoke.wire import read_json
from tools_api.rag.collections.schemas import checked_metadata
from tools_api.rag.documents.intake import Intake
from tools_api.rag.documents.multipart import read_form
from tools_api.rag.documents.schemas import TextDocument

_MAX_JSON_BYTES = 4 * 1024 * 1024  # parsing more would stall the event loop; larger texts are files
SILENCE_S = 30.0
_SLOW_AFTER_S = 30.0
_SLOWEST_BYTES_PER_S = 1024


class UploadTooSlow(TwinportError):
    """The body does not come, or comes drop by drop."""

    code = "upload_too_slow"
    type: ClassVar[str] = "timeout_error"
    status = 408
    retryable = True


class RequestBody:
    """Reads a request's body into an `Intake`. Raises `InvalidRequest`, `PayloadTooLarge`, `UploadTooSlow`."""

    def __init__(self, request: Request) -> None:
        self._request = request

    async def read_into(self, intake: Intake) -> Mapping[str, Any] | None:
        """Hand over every file and return the metadata, None if there is none."""
        content_type = self._request.headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() == "application/json":
            return await self._read_text(intake)
        written = await read_form(pieces_of(self._request), content_type, intake)
        return None if written is None else _metadata(written)

    async def _read_text(self, intake: Intake) -> Mapping[str, Any] | None:
        body = bytearray()
        async for piece in pieces_of(self._request):
            body += piece
            if len(body) > _MAX_JSON_BYTES:
                raise PayloadTooLarge(f"As JSON a text has at most {_MAX_JSON_BYTES} bytes; send it as a file instead.")
        document = read_json(bytes(body), TextDocument)
        await intake.begin(document.name, "text/plain")
        await intake.write(document.text.encode())
        await intake.end()
        return document.metadata


async def pieces_of(request: Request) -> AsyncIterator[bytes]:
    """Yield a body as it comes. Raises `UploadTooSlow`, `ClientDisconnected`."""
    loop = asyncio.get_running_loop()
    started, received = loop.time(), 0
    stream = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise UploadTooSlow(f"Nothing came for {SILENCE_S:g} seconds.") from None
        except ClientDisconnect:
            raise ClientDisconnected("The caller closed the connection before its request was whole.") from None
        received += len(piece)
        yield piece
        taken = loop.time() - started
        if taken > _SLOW_AFTER_S and received < taken * _SLOWEST_BYTES_PER_S:
            raise UploadTooSlow(f"The body comes with less than {_SLOWEST_BYTES_PER_S} bytes a second.")


def _metadata(written: bytes) -> dict[str, Any]:
    try:
        decoded = orjson.loads(written)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The field is no JSON: {error.msg}.", param="metadata") from None
    if not isinstance(decoded, dict):
        raise InvalidRequest("The field is a JSON object.", param="metadata")
    try:
        return checked_metadata(decoded)  # pyright: ignore[reportUnknownArgumentType] -- keys of JSON are texts
    except ValueError as error:
        raise InvalidRequest(f"metadata: {error}.", param="metadata") from None
