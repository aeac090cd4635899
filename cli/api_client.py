"""The main API over HTTP, as commands use it: who calls, errors as sentences, server-sent events."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import aiohttp

from cli.credentials import Login

JsonObject = dict[str, Any]


class CallFailed(Exception):
    """The server refused or failed; the message is its own, or says what to do. `status` 0: it was not reached."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event; `name` is `message` where the server gives it none."""

    name: str
    data: str


class ApiClient:
    """One server and one identity. `on_login` hears of new tokens, so that they can be kept."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        *,
        api_key: str | None = None,
        login: Login | None = None,
        on_login: Callable[[Login], None] = lambda _: None,
    ) -> None:
        self._http = http
        self._url = url
        self._api_key = api_key
        self._login = login
        self._on_login = on_login

    async def log_in(self, username: str, password: str) -> None:
        body = {"username": username, "password": password}
        self._take(username, await self.json("POST", "/api/auth/login", json=body))

    async def json(self, method: str, path: str, **options: Any) -> JsonObject:
        """Send one request and return the JSON object that it is answered with. Raises `CallFailed`."""
        async with self.request(method, path, **options) as answer:
            return await answer.json()

    @asynccontextmanager
    async def request(self, method: str, path: str, **options: Any) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Send one request and yield the good answer; `options` are aiohttp's. Raises `CallFailed`."""
        answer = await self._send(method, path, **options)
        if answer.status == 401 and self._login and not path.startswith("/api/auth/"):
            answer.release()
            await self._refresh(self._login)
            answer = await self._send(method, path, **options)
        try:
            if answer.status >= 400:
                raise CallFailed(_message(await _body(answer), answer.status), answer.status)
            yield answer
        except aiohttp.ClientError as error:
            raise CallFailed(f"The connection broke off: {error}") from error
        finally:
            answer.close()

    async def _send(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        token = self._api_key or (self._login and self._login.access_token)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        try:
            return await self._http.request(method, self._url + path, headers=headers, **options)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CallFailed(
                f"No server answers at {self._url} ({type(error).__name__}). Start it with: bash start_servers.sh"
                " - or name another with --url."
            ) from error

    async def _refresh(self, login: Login) -> None:
        body = {"refresh_token": login.refresh_token}
        self._take(login.username, await self.json("POST", "/api/auth/refresh", json=body))

    def _take(self, username: str, tokens: JsonObject) -> None:
        self._login = Login(
            username=username, access_token=tokens["access_token"], refresh_token=tokens["refresh_token"]
        )
        self._on_login(self._login)


async def server_events(answer: aiohttp.ClientResponse) -> AsyncIterator[ServerEvent]:
    """Yield events as they come; lines in pieces, comments and other fields are as the SSE specification says."""
    name, data = "message", list[str]()
    async for raw in answer.content:
        line = raw.decode("utf-8").rstrip("\r\n")
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif line.startswith("event:"):
            name = line[6:].strip()
        elif not line:
            if data:
                yield ServerEvent(name, "\n".join(data))
            name, data = "message", []


def message_in(error: object) -> str | None:
    """Return the sentence of an error, whichever dialect wrote it."""
    if isinstance(error, dict):
        error = cast("JsonObject", error).get("message")
    return str(error) if error else None


async def _body(answer: aiohttp.ClientResponse) -> JsonObject:
    try:
        body: Any = await answer.json(content_type=None)
    except ValueError:
        return {}
    return cast("JsonObject", body) if isinstance(body, dict) else {}


def _message(body: JsonObject, status: int) -> str:
    sentence = message_in(body.get("error")) or body.get("message") or body.get("detail")
    return str(sentence) if sentence else f"The server answered with status {status}."
