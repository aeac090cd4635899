"""Who may call an endpoint, as types: the signature of a handler is its authorization rule.

Reads the lifespan state: `request.state.auth` (`AuthService`), `.limits` (`RateLimiter`) and `.client_addresses`
(`ClientAddresses`). Decides by headers and by nothing else: no path, host or query string is looked at.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.types import Scope

from main_api.auth.principal import Principal
from main_api.auth.service import AuthService
from main_api.limits.client_address import Client, ClientAddresses
from main_api.limits.limit import Limit
from main_api.limits.service import RateLimiter
from shared.errors import PermissionDenied, Unauthenticated


async def authenticate_request(request: Request) -> Principal:
    """Return the caller, counted against the limit per minute of its key or account.

    Raises `Unauthenticated` and `RateLimited`. The service key is not limited: its calls belong to one that was.
    """
    authorization, api_key = credentials_in(request.scope)
    auth = auth_service(request)
    principal = await auth.authenticate(authorization=authorization, api_key=api_key)
    if principal.key_id is not None:
        auth.last_used.note(principal.key_id)
    if principal.credential != "service":
        await rate_limiter(request).hit_request(_subject(principal))
    return principal


def credentials_in(scope: Scope) -> tuple[str | None, str | None]:
    """Return the headers `Authorization` and `X-API-Key`; raises `Unauthenticated` if one is there twice."""
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in {b"authorization", b"x-api-key"}:
            if name in found:
                raise Unauthenticated(f"The header {name.decode()} is there twice; send one credential.")
            found[name] = value.decode("latin-1")
    return found.get(b"authorization"), found.get(b"x-api-key")


def auth_service(request: Request) -> AuthService:
    """Return the service in the lifespan state."""
    return cast("AuthService", request.state.auth)


def rate_limiter(request: Request) -> RateLimiter:
    """Return the limiter in the lifespan state."""
    return cast("RateLimiter", request.state.limits)


def client_of(request: Request) -> Client:
    """Return where the request came from."""
    return cast("ClientAddresses", request.state.client_addresses).of(request.scope)


def limited_by_address(limit: Limit) -> Callable[[Request], Awaitable[None]]:
    """Make a dependency that counts the caller's address against `limit`."""

    async def count(request: Request) -> None:
        await rate_limiter(request).hit(limit, client_of(request).bucket)

    return count


def require_scope(scope: str) -> Callable[[Principal], Awaitable[Principal]]:
    """Make a dependency that lets only callers with a scope pass."""

    async def check(principal: "CurrentPrincipal") -> Principal:
        return scoped(principal, scope)

    return check


def scoped(principal: Principal, scope: str) -> Principal:
    """Return the caller if its credential has the scope; raises `PermissionDenied`."""
    if scope not in principal.scopes:
        raise PermissionDenied(f"This needs the scope {scope!r}, which this API key does not have.")
    return principal


async def _person(principal: Annotated[Principal, Depends(authenticate_request)]) -> Principal:
    if not principal.is_person:
        raise PermissionDenied("Accounts are managed by people: sign in and send the access token, not an API key.")
    return principal


async def _admin(principal: Annotated[Principal, Depends(_person)]) -> Principal:
    if not principal.is_admin:
        raise PermissionDenied("Only an admin may do this.")
    return principal


async def _auth(request: Request) -> AuthService:
    """`auth_service` as a dependency: FastAPI sends one that is not async to a thread."""
    return auth_service(request)


async def _client(request: Request) -> Client:
    return client_of(request)


def _subject(principal: Principal) -> str:
    return f"user:{principal.user_id}" if principal.key_id is None else f"key:{principal.key_id}"


CurrentPrincipal = Annotated[Principal, Depends(authenticate_request)]
"""Anyone with a credential: a person, a program's API key, the service key."""

PersonPrincipal = Annotated[Principal, Depends(_person)]
"""A person with an access token; API keys and the service key get 403."""

AdminPrincipal = Annotated[Principal, Depends(_admin)]
"""A person with the role admin."""

Auth = Annotated[AuthService, Depends(_auth)]
CallingClient = Annotated[Client, Depends(_client)]
