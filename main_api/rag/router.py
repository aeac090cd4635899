"""`/v1/rag/…`: documents in, cited passages out, for people and programs with the scope `tools`.

A call goes to the tools API with the account that makes it, and its answer comes back in pieces as they arrive.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from main_api.rag.call import PREFIX, RagCall, target_of
from main_api.rag.deps import Rag, ToolsPrincipal
from main_api.rag.passage import IncomingBody, PassedOn, frames
from main_api.rag.routes import ROUTES, RagRoute
from main_api.rag.service import RagService
from main_api.toolbox.download_headers import download_headers
from shared.asgi import openai_error_body
from shared.disconnect import while_connected
from shared.errors import ClientDisconnected, TwinportError
from shared.sse import EventStreamResponse
from shared.tools_contract import JsonObject

_WITH_BODY = frozenset({"POST", "PATCH"})
_OF_A_BODY = ("content-type", "content-length")
_WITHOUT_BODY = ("last-event-id",)
"""Which headers pass; the others are about this connection, or none of the tools API's business."""
_SILENCE_S = 60.0
_SILENCE_AFTER_A_FILE_S = 600.0
"""A snapshot is checked, and one is made, before the first byte of the answer."""

router = APIRouter(prefix=PREFIX, tags=["documents"])


def _endpoint(route: RagRoute) -> Callable[..., Awaitable[Response]]:
    async def passed_on(request: Request, principal: ToolsPrincipal, rag: Rag) -> Response:
        body = IncomingBody(request.receive)
        if route.method not in _WITH_BODY:
            body.skip()
        call = _call(route, request, person=principal.person, body=body)
        try:
            return await while_connected(body.receive, _answer(route, call, rag))
        except TwinportError:
            if body.caller_left:  # then that is why the call failed
                raise ClientDisconnected("The caller closed the connection while sending.") from None
            raise

    passed_on.__name__, passed_on.__doc__ = route.name, route.text
    return passed_on


def _call(route: RagRoute, request: Request, *, person: str, body: IncomingBody) -> RagCall:
    segments = [
        str(request.path_params[part[1:-1]]) if part.startswith("{") else part
        for part in route.path.strip("/").split("/")
    ]
    return RagCall(
        method=route.method,
        target=target_of(segments, request.scope["query_string"].decode("latin-1")),
        person=person,
        headers=_passing(request, _OF_A_BODY if route.method in _WITH_BODY else _WITHOUT_BODY),
        body=body.pieces() if route.method in _WITH_BODY else None,
        silence_s=_SILENCE_AFTER_A_FILE_S if "file" in {route.body, route.answer} else _SILENCE_S,
    )


def _passing(request: Request, names: tuple[str, ...]) -> dict[str, str]:
    return {name: request.headers[name] for name in names if name in request.headers}


async def _answer(route: RagRoute, call: RagCall, rag: RagService) -> Response:
    if route.answer == "collection":
        return _json(await rag.collection(call), route.status)
    if route.answer == "collections":
        return _json(await rag.collections(call), route.status)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(rag.open(call))
        kept = stack.pop_all()
    if route.answer == "events":
        return EventStreamResponse(frames(upstream, kept), headers=dict[str, str], render_failure=_error_frame)
    return PassedOn(upstream, kept, _headers(route, upstream))


def _headers(route: RagRoute, upstream: aiohttp.ClientResponse) -> dict[str, str]:
    if route.answer == "file":
        return download_headers(
            media_type=upstream.headers.get("content-type"),
            offered_disposition=upstream.headers.get("content-disposition"),
            size=upstream.content_length,
        )
    length = {} if upstream.content_length is None else {"content-length": str(upstream.content_length)}
    return {"content-type": "application/json", "cache-control": "private, no-store", **length}


def _json(value: JsonObject, status: int) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _error_frame(error: TwinportError) -> bytes:
    return b"event: error\ndata: " + openai_error_body(error) + b"\n\n"


for _route in ROUTES:
    router.add_api_route(
        _route.path,
        _endpoint(_route),
        methods=[_route.method],
        status_code=_route.status,
        response_class=Response,
        openapi_extra=_route.description,
        operation_id=_route.name,
    )
