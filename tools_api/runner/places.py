"""How many jobs a runner holds at once, running or waiting: each may be as large as its limits allow."""

from starlette.types import ASGIApp, Receive, Scope, Send

from shared.asgi import RenderError
from tools_api.sandbox import SandboxBusy


class Places:
    """Answers 503 to jobs beyond `most`, before a byte of them is read."""

    def __init__(self, app: ASGIApp, *, most: int, render_error: RenderError) -> None:
        self._app = app
        self._most = most
        self._render_error = render_error
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        if self._taken >= self._most:
            await self._refuse(scope["path"], send)
            return
        self._taken += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._taken -= 1

    async def _refuse(self, path: str, send: Send) -> None:
        error = SandboxBusy("All places of this runner are taken; try again in a moment.", retry_after=1.0)
        headers = [(b"content-type", b"application/json"), (b"retry-after", b"1"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": self._render_error(path, error)})
