"""The HTTP client's policies, against a real local server."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from shared.http_client import create_http_session


async def serve(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.router.add_get("/{tail:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def test_cookies_of_a_peer_are_not_kept() -> None:
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        answer = web.Response()
        answer.set_cookie("a", "b")
        return answer

    runner, url = await serve(handler)
    async with create_http_session() as session:
        for _ in range(2):
            async with session.get(url):
                pass
    await runner.cleanup()

    assert seen == [None, None]


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(text="direct")

    runner, url = await serve(handler)
    async with create_http_session() as session, session.get(url) as answer:
        assert await answer.text() == "direct"
    await runner.cleanup()


async def test_silence_ends_in_a_timeout() -> None:
    over = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"a")
        await over.wait()
        return answer

    runner, url = await serve(handler)
    async with create_http_session(read_timeout_s=0.05) as session, session.get(url) as answer:
        with pytest.raises(aiohttp.SocketTimeoutError):
            await answer.read()
        over.set()
    await runner.cleanup()


async def test_an_answer_slower_than_the_timeout_but_never_silent_is_read_whole() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(6):
            await answer.write(b"a")
            await asyncio.sleep(0.05)
        return answer

    runner, url = await serve(handler)
    async with create_http_session(read_timeout_s=0.2) as session, session.get(url) as answer:
        assert await answer.read() == b"aaaaaa"
    await runner.cleanup()
