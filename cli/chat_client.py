"""The HTTP API as `twinport chat` uses it: log in, list and read sessions, stream an answer."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import aiohttp

from cli.credentials import Login

JsonObject = dict[str, Any]


class ChatFailed(Exception):
    """The server refused or failed; the message is its own, or says what to do. `status` 0: it was not reached."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One turn: `text` for the session, or for a new one."""

    text: str
    session_id: str | None = None
    model: str | None = None
    agent: str | None = None

    def body(self) -> JsonObject:
        options = {"session_id": self.session_id, "agent_type": self.agent}
        return {
            "model": self.model or "auto",
            "messages": [{"role": "user", "content": self.text}],
            "stream": True,
            "store": True,
            **{name: value for name, value in options.items() if value is not None},
        }


class ChatClient:
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
        self._take(username, await self._json("POST", "/api/auth/login", json=body))

    async def sessions(self) -> list[JsonObject]:
        """Return the newest sessions, each with `id`, `title` and `message_count`."""
        found = await self._json("GET", "/api/chat/sessions")
        return cast("list[JsonObject]", found.get("sessions") or found.get("data") or [])

    async def history(self, session_id: str) -> list[JsonObject]:
        """Return the messages of a session, oldest first, each with `role` and `content`."""
        found = await self._json("GET", f"/api/chat/history/{session_id}")
        return cast("list[JsonObject]", found.get("messages") or [])

    async def ask(self, question: Question) -> AsyncGenerator[JsonObject, None]:
        """Yield the chunks of the answer as they come. Leaving the loop cancels the answer at the server."""
        async with self._request("POST", "/v1/chat/completions", json=question.body()) as answer:
            finished = False
            async for data in _sse_data(answer):
                if data == "[DONE]":
                    finished = True
                    break
                chunk: JsonObject = json.loads(data)
                if "error" in chunk:
                    raise ChatFailed(_message(chunk, 0))
                yield chunk
        if not finished:
            raise ChatFailed("The connection ended before the answer did.")

    async def _json(self, method: str, path: str, **options: Any) -> JsonObject:
        async with self._request(method, path, **options) as answer:
            return await answer.json()

    @asynccontextmanager
    async def _request(self, method: str, path: str, **options: Any) -> AsyncGenerator[aiohttp.ClientResponse]:
        answer = await self._send(method, path, **options)
        if answer.status == 401 and self._login and not path.startswith("/api/auth/"):
            answer.release()
            await self._refresh(self._login)
            answer = await self._send(method, path, **options)
        try:
            if answer.status >= 400:
                raise ChatFailed(_message(await _body(answer), answer.status), answer.status)
            yield answer
        except aiohttp.ClientError as error:
            raise ChatFailed(f"The connection broke off: {error}") from error
        finally:
            answer.close()

    async def _send(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        token = self._api_key or (self._login and self._login.access_token)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        try:
            return await self._http.request(method, self._url + path, headers=headers, **options)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ChatFailed(
                f"No server answers at {self._url} ({type(error).__name__}). Start it with: bash start_servers.sh"
                " - or name another with --url."
            ) from error

    async def _refresh(self, login: Login) -> None:
        body = {"refresh_token": login.refresh_token}
        self._take(login.username, await self._json("POST", "/api/auth/refresh", json=body))

    def _take(self, username: str, tokens: JsonObject) -> None:
        self._login = Login(
            username=username, access_token=tokens["access_token"], refresh_token=tokens["refresh_token"]
        )
        self._on_login(self._login)


async def _sse_data(answer: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """Yield the `data` of each event; lines in pieces, comments and other fields are as the SSE specification says."""
    data: list[str] = []
    async for raw in answer.content:
        line = raw.decode("utf-8").rstrip("\r\n")
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data.clear()


async def _body(answer: aiohttp.ClientResponse) -> JsonObject:
    try:
        body: Any = await answer.json(content_type=None)
    except ValueError:
        return {}
    return cast("JsonObject", body) if isinstance(body, dict) else {}


def _message(body: JsonObject, status: int) -> str:
    """Return the sentence of an error, whichever dialect wrote it."""
    error = body.get("error")
    if isinstance(error, dict):
        error = cast("JsonObject", error).get("message")
    sentence = error or body.get("message") or body.get("detail")
    return str(sentence) if sentence else f"The server answered with status {status}."
