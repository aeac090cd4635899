"""Render every error in the envelope that its dialect documents.

The tree of `shared.errors` is the only source; the path decides the envelope: the portal's `{"success": false, …}`
for accounts, OpenAI's `{"error": {…}}` for the rest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shared.asgi import openai_error_body
from shared.errors import InvalidRequest, NotFound, RateLimited, TwinportError
from shared.logging import get_logger
from shared.request_id import HEADER, current_request_id

_PORTAL_PATHS = ("/api/auth/",)

_log = get_logger("errors")


class _MethodNotAllowed(InvalidRequest):
    code = "method_not_allowed"
    status = 405


def install_error_handlers(app: FastAPI) -> None:
    """Make `app` answer every failure in its dialect's envelope; a bug is a 500 that shows only the request id."""

    async def on_error(request: Request, error: Exception) -> Response:
        response = error_response(request.scope["path"], _translated(error))
        if isinstance(error, HTTPException) and error.headers:  # which methods a path allows
            response.headers.update(error.headers)
        return response

    async def on_bug(request: Request, error: Exception) -> Response:
        """Runs outside of every middleware, so nobody else names the request."""
        response = await on_error(request, error)
        response.headers[HEADER] = current_request_id()
        return response

    for kind in (TwinportError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(Exception, on_bug)


def error_response(path: str, error: TwinportError) -> Response:
    """Make the answer for `error` on `path`."""
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(render_error(path, error), error.status, headers, media_type="application/json")


def render_error(path: str, error: TwinportError) -> bytes:
    """Render `error` in the envelope of the dialect that `path` belongs to."""
    if path.startswith(_PORTAL_PATHS):
        return _portal_error_body(error)
    return openai_error_body(error)


def _portal_error_body(error: TwinportError) -> bytes:
    if isinstance(error, RateLimited):
        limited = {"message": error.message, "type": error.type, "details": dict(error.details or {})}
        return orjson.dumps({"success": False, "error": limited})
    return orjson.dumps({"success": False, "error": error.message, "code": error.code})


def validation_failure(problems: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """Turn pydantic's problems into one error that names the first field at fault, and the number of the others."""
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"] if not _is_label(part))
    message = f"{where or 'body'}: {str(first['msg']).removeprefix('Value error, ')}."
    if len(problems) > 1:
        message += f" ({len(problems) - 1} more like this)"
    return InvalidRequest(message, param=where or None)


def _is_label(part: str | int) -> bool:
    """Tell pydantic's labels (where the value came from, which branch of a union) from the caller's own field names."""
    text = str(part)
    return text in {"body", "query", "path", "str", "int", "float", "bool"} or "[" in text or text[:1].isupper()


def _translated(error: Exception) -> TwinportError:
    if isinstance(error, TwinportError):
        return error
    if isinstance(error, RequestValidationError):
        return validation_failure(error.errors())
    if isinstance(error, HTTPException):
        return _from_starlette(error)
    _log.error("unhandled error", exc_info=error)
    return TwinportError(f"The server failed. Its log has the details under the request id {current_request_id()}.")


def _from_starlette(error: HTTPException) -> TwinportError:
    if error.status_code == 404:
        return NotFound("There is nothing at this path; /docs lists what there is.")
    if error.status_code == 405:
        return _MethodNotAllowed("This path does not take this method; /docs lists what there is.")
    return InvalidRequest(str(error.detail))
