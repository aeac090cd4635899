"""A small application around the account endpoints, on a real database, with cheap bcrypt."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from main_api.auth.deps import AdminPrincipal, CurrentPrincipal
from main_api.auth.router import router
from main_api.auth.service import AuthOptions, AuthService
from main_api.db import Database
from main_api.limits.client_address import ClientAddresses
from main_api.limits.service import RateLimiter
from shared.errors import TwinportError

JWT_SECRET = "j" * 64
PEPPER = "p" * 64
SERVICE_KEY = "5" * 64
PASSWORD = "correct horse 1"


def make_auth(db: Database, **changes: object) -> AuthService:
    values: dict[str, object] = {
        "jwt_secret": JWT_SECRET,
        "pepper": PEPPER,
        "service_key": SERVICE_KEY,
        "bcrypt_rounds": 4,
    }
    limits = changes.pop("limits", None)
    clock = changes.pop("clock", None)
    extra = {"clock": clock} if clock else {}
    return AuthService(db, options=AuthOptions(**(values | changes)), limits=limits, **extra)


@pytest.fixture
async def auth(any_db: Database) -> AsyncIterator[AuthService]:
    service = make_auth(any_db)
    yield service
    await service.aclose()


@pytest.fixture
async def sqlite_auth(db: Database) -> AsyncIterator[AuthService]:
    service = make_auth(db)
    yield service
    await service.aclose()


class WithState:
    """What a lifespan does: hand the long-lived objects to each request."""

    def __init__(self, app: ASGIApp, **state: object) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "state": dict(self._state)}, receive, send)


def make_app() -> FastAPI:
    app = FastAPI()
    app.include_router(router)

    @app.get("/whoami")
    async def whoami(principal: CurrentPrincipal) -> dict[str, object]:
        return {"user_id": principal.user_id, "credential": principal.credential, "scopes": sorted(principal.scopes)}

    @app.get("/admin")
    async def admin(principal: AdminPrincipal) -> str:
        return principal.username

    @app.exception_handler(TwinportError)
    async def render(_: Request, error: TwinportError) -> JSONResponse:
        headers = {"retry-after": str(error.retry_after)} if error.retry_after is not None else None
        body = {"success": False, "error": error.message, "code": error.code, "param": error.param}
        if error.details:
            body["details"] = dict(error.details)
        return JSONResponse(body, error.status, headers)

    @app.exception_handler(RequestValidationError)
    async def render_validation(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"success": False, "error": error.errors()[0]["msg"]}, 422)

    return app


@dataclass
class Api:
    """A client, and what stands behind it."""

    http: httpx.AsyncClient
    auth: AuthService
    connect: Callable[[str], httpx.AsyncClient]
    """Make a client that calls from another address."""

    async def sign_up(self, username: str = "ada", password: str = PASSWORD, **more: object) -> httpx.Response:
        return await self.http.post("/api/auth/signup", json={"username": username, "password": password, **more})

    async def login(self, username: str = "ada", password: str = PASSWORD) -> httpx.Response:
        return await self.http.post("/api/auth/login", json={"username": username, "password": password})

    async def bearer(self, username: str = "ada") -> dict[str, str]:
        """Sign up and in; returns the header to send."""
        assert (await self.sign_up(username)).status_code == 201
        return {"authorization": f"Bearer {(await self.login(username)).json()['access_token']}"}


async def _api(db: Database, limits: RateLimiter, trusted: list[str]) -> AsyncIterator[Api]:
    service = make_auth(db, limits=limits)
    state = {"auth": service, "limits": limits, "client_addresses": ClientAddresses(trusted)}
    app = WithState(make_app(), **state)
    clients: list[httpx.AsyncClient] = []

    def connect(address: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app, client=(address, 4711))
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://testserver"))
        return clients[-1]

    yield Api(connect("198.51.100.7"), service, connect)
    for client in clients:
        await client.aclose()
    await service.aclose()


@pytest.fixture
async def api(db: Database) -> AsyncIterator[Api]:
    """The endpoints without limits, called from a remote address."""
    async for api in _api(db, RateLimiter(enabled=False), []):
        yield api


@pytest.fixture
async def limited_api(db: Database) -> AsyncIterator[Api]:
    """The endpoints with limits on; a proxy at 10.0.0.1 is trusted."""
    async for api in _api(db, RateLimiter(requests_per_minute=20), ["10.0.0.1"]):
        yield api
