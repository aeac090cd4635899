"""The scripted tools API as retrieval's tests want it: what it was asked, and what it answers next."""

from collections.abc import AsyncIterator

import pytest_asyncio
from aiohttp import web

from tests.main_api.served.platform import Platform
from tests.main_api.toolbox.server import Handler


class Rag:
    """The paths below `/v1/rag` of the scripted tools API."""

    def __init__(self, served: Platform) -> None:
        self._tools = served.tools
        self._tools.requests.clear()

    def does(self, handler: Handler) -> None:
        self._tools.on_rag = handler

    def answers(self, body: object, *, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def answer(request: web.Request) -> web.StreamResponse:
            await request.read()
            return web.json_response(body, status=status, headers=named)

        self.does(answer)

    def refuses(self, status: int, message: str = "No.", code: str = "some_code", **headers: str) -> None:
        self.answers({"error": {"message": message, "type": "t", "code": code}}, status=status, **headers)

    @property
    def asked(self) -> web.Request:
        return self._tools.requests[-1]

    @property
    def calls(self) -> int:
        return len(self._tools.requests)


@pytest_asyncio.fixture(loop_scope="session")
async def rag(served: Platform) -> AsyncIterator[Rag]:
    usual = served.tools.on_rag
    yield Rag(served)
    served.tools.on_rag = usual
