"""`/mcp`: check the service key, then hand the connection to the session manager."""

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from tools_api.invoke.deps import authenticate
from tools_api.mcp.server import CALLER_KEY


class McpEndpoint:
    """An ASGI application for one path; errors of the key check are the process's usual ones."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        scope[CALLER_KEY] = await authenticate(request)
        manager: StreamableHTTPSessionManager = request.state.mcp
        await manager.handle_request(scope, receive, send)
