"""What handlers of this process ask for: the caller (their signature is their authorization rule) and the invoker."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import ClientDisconnect

from shared.errors import ClientDisconnected, InvalidRequest
from shared.tools_contract import InvokeRequest
from tools_api.invoke.auth import ServiceKeys, offered_key
from tools_api.invoke.service import Invoker
from tools_api.invoke.wire import read_invoke_request

SECURITY = [Depends(HTTPBearer(auto_error=False)), Depends(APIKeyHeader(name="X-API-Key", auto_error=False))]
"""Documents the two headers in /docs; `authenticate` is what reads them."""


async def authenticate(request: Request) -> str:
    """Return the name of the calling service. Raises `Unauthenticated`."""
    keys: ServiceKeys = request.state.service_keys
    return keys.caller(offered_key(request.headers.get("authorization"), request.headers.get("x-api-key")))


async def _invoker(request: Request) -> Invoker:
    return request.state.invoker


async def json_of(request: Request) -> bytes:
    """Return the body of a request that says that it is JSON. Raises `InvalidRequest`, `ClientDisconnected`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise InvalidRequest("Send the body as JSON, with `Content-Type: application/json`.")
    try:
        return await request.body()
    except ClientDisconnect:
        raise ClientDisconnected("The caller closed the connection before its request was whole.") from None


async def _invoke_request(request: Request) -> InvokeRequest:
    return read_invoke_request(await json_of(request))


CallerDep = Annotated[str, Depends(authenticate)]
InvokerDep = Annotated[Invoker, Depends(_invoker)]
InvokeRequestDep = Annotated[InvokeRequest, Depends(_invoke_request)]
