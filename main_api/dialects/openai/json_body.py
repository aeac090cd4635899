"""The JSON body of a request, read in a time that nobody else has to wait for."""

from typing import cast

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect

from shared.errors import ClientDisconnected, InvalidRequest, PayloadTooLarge
from shared.tools_contract import JsonObject

_SMALL_BODY = 500_000
_MOST_CONTAINERS = 250_000
_MOST_VALUES = 2_000_000
"""Parsing as many takes a tenth of a second, in which nobody else is served; braces and commas in a text count too."""


async def json_body(request: Request) -> JsonObject:
    """Return the body. Raises `InvalidRequest`, `PayloadTooLarge`, `ClientDisconnected`."""
    content_type = request.headers.get("content-type", "application/json")
    if not content_type.lower().startswith("application/json"):
        raise InvalidRequest(f"Send the body as JSON with `content-type: application/json`, not {content_type[:100]}.")
    try:
        body = orjson.loads(_bounded(await request.body()))
    except ClientDisconnect:
        raise ClientDisconnected("The caller closed the connection while sending.") from None
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return cast("JsonObject", body)


def _bounded(raw: bytes) -> bytes:
    """Return the body if reading it is quick: many values, not long texts or pictures, are what takes time."""
    if len(raw) <= _SMALL_BODY:
        return raw
    if raw.count(b"{") + raw.count(b"[") > _MOST_CONTAINERS or raw.count(b",") > _MOST_VALUES:
        raise PayloadTooLarge(f"The body may hold {_MOST_CONTAINERS} objects and lists and {_MOST_VALUES} values.")
    return raw
