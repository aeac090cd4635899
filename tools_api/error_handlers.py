"""Render every error of this process in OpenAI's shape, and log what nobody foresaw."""

import math

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shared.asgi import openai_error_body
from shared.errors import InvalidRequest, NotFound, TwinportError
from shared.logging import get_logger
from shared.request_id import HEADER, current_request_id

_log = get_logger("errors")


def install_error_handlers(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(TwinportError, _twinport)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)


def _answer(error: TwinportError, *, status: int | None = None, headers: dict[str, str] | None = None) -> Response:
    extra = dict(headers or {})
    if error.retry_after is not None:
        extra["Retry-After"] = str(math.ceil(error.retry_after))
    if error.status == 401:
        extra["WWW-Authenticate"] = "Bearer"
    body = openai_error_body(error)
    return Response(body, status_code=status or error.status, headers=extra, media_type="application/json")


async def _twinport(_request: Request, error: Exception) -> Response:
    assert isinstance(error, TwinportError)  # noqa: S101 -- registered for this class
    if error.status >= 500:
        _log.error("request_failed", code=error.code, message=error.message, cause=repr(error.__cause__))
    return _answer(error)


async def _validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problem = error.errors()[0]
    field = ".".join(str(step) for step in problem["loc"])[:80]
    return _answer(InvalidRequest(f"{field}: {problem['msg']}.", param=field))


async def _http(_request: Request, error: Exception) -> Response:
    """Render what the router says: no such path, no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101
    headers = dict(error.headers or {})
    if error.status_code == 404:
        return _answer(NotFound("There is nothing at this path."), headers=headers)
    return _answer(InvalidRequest(f"{error.detail}."), status=error.status_code, headers=headers)


async def _unforeseen(_request: Request, error: Exception) -> Response:
    _log.error("unforeseen_error", exc_info=error)
    neutral = TwinportError("Something went wrong in the tools API. The log has it under the id in x-request-id.")
    return _answer(neutral, headers={HEADER: current_request_id()})
