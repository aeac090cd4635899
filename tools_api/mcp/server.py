"""The same tools over the Model Context Protocol: `tools/list` from the registry, `tools/call` through the boundary.

Stateless streamable HTTP: every request stands for itself, so replicas need nothing in common. Clients of the protocol
versions 2025-06-18 to 2026-07-28 are served, as far as the SDK does.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError

from shared.errors import TwinportError
from shared.request_id import current_request_id
from shared.tools_contract import Artifact, InvokeRequest, ToolDefinition, ToolResult
from tools_api.invoke.service import Invoker

CALLER_KEY = "twinport.caller"
"""Where the endpoint leaves the caller's name in the ASGI scope."""


class McpServer:
    """Answers MCP requests with the tools of an `Invoker`; `deadline_ms` bounds calls of tools that ask for no more."""

    def __init__(self, invoker: Invoker, *, deadline_ms: int, max_body_bytes: int) -> None:
        self._invoker = invoker
        self._deadline_ms = deadline_ms
        server: Server[Any] = Server("twinport-tools", on_list_tools=self._list_tools, on_call_tool=self._call_tool)
        self._manager = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=max_body_bytes)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[StreamableHTTPSessionManager]:
        """Run the session manager; yields it, whose `handle_request` is an ASGI application."""
        async with self._manager.run():
            yield self._manager

    async def _list_tools(
        self, _context: ServerRequestContext[Any, Any], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[_tool(definition) for definition in self._invoker.definitions() if definition.available]
        )

    async def _call_tool(
        self, context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        assert context.request is not None  # noqa: S101 -- over HTTP there always is one
        caller: str = context.request.scope[CALLER_KEY]
        try:
            request = InvokeRequest(
                arguments=params.arguments or {},
                deadline_ms=self._deadline_of(params.name),
                request_id=current_request_id(),
            )
            result = await self._invoker.invoke(caller, params.name, request)
        except TwinportError as error:
            raise _protocol_error(error) from error
        return _call_result(result)

    def _deadline_of(self, name: str) -> int:
        """Grant a tool the time that it says it needs. Raises `NotFound`."""
        return max(self._deadline_ms, round((self._invoker.definition(name).timeout_s or 0) * 1000))


def _tool(definition: ToolDefinition) -> types.Tool:
    return types.Tool(name=definition.name, description=definition.description, input_schema=definition.parameters)


def _call_result(result: ToolResult) -> types.CallToolResult:
    """Say a result in MCP's words: text for the model, the rest of the contract as structured content."""
    text = (
        result.content
        if result.ok
        else "\n".join(filter(None, [result.content, result.error and result.error.message]))
    )
    blocks: list[types.ContentBlock] = [types.TextContent(type="text", text=text)]
    blocks.extend(_link(artifact) for artifact in result.artifacts)
    structured = result.model_dump(mode="json", exclude={"content", "artifacts"})
    return types.CallToolResult(content=blocks, structured_content=structured, is_error=not result.ok)


def _link(artifact: Artifact) -> types.ResourceLink:
    return types.ResourceLink(
        type="resource_link",
        name=artifact.name,
        uri=f"/v1/artifacts/{artifact.id}",
        mime_type=artifact.media_type,
        size=artifact.size,
    )


def _protocol_error(error: TwinportError) -> MCPError:
    code = types.INVALID_PARAMS if error.status < 500 else types.INTERNAL_ERROR
    return MCPError(code=code, message=error.message, data={"code": error.code})
