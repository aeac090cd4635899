"""`/v1/tools`: what there is, and how to call it."""

from typing import Any

from fastapi import APIRouter, Request, Response

from shared.disconnect import while_connected
from shared.request_id import bind_request_id
from shared.sse import EventStreamResponse
from shared.tools_contract import InvokeRequest, ToolDefinition, ToolList, ToolResult
from tools_api.invoke.deps import SECURITY, CallerDep, InvokerDep, InvokeRequestDep
from tools_api.invoke.stream import call_frames, error_frame

_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No service key, or one that is not known"},
    404: {"description": "There is no such tool"},
}
_INVOKE_ERRORS: dict[int | str, dict[str, Any]] = {
    **_ERRORS,
    200: {
        "description": "The result; with `stream: true` as the last of server-sent events",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: output\ndata: {"stream":"stdout","text":"42\\n"}\n\n'
                'event: result\ndata: {"ok":true,"content":"42"}\n\n',
            }
        },
    },
    400: {"description": "The body is not a call as the contract has it"},
    413: {"description": "The body is too large"},
    429: {"description": "Too many calls of this caller wait already; `Retry-After` says when to try again"},
    503: {"description": "The tool cannot run on this machine now"},
    507: {"description": "There is no room for the files that the tool made"},
}
_INVOKE_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": InvokeRequest.model_json_schema()}}}
}

router = APIRouter(prefix="/v1/tools", tags=["tools"], dependencies=SECURITY)


@router.get("", responses={401: _ERRORS[401]})
async def list_tools(_caller: CallerDep, invoker: InvokerDep) -> ToolList:
    """List the tools with the JSON Schema of their arguments, those included that cannot run now."""
    return ToolList(data=invoker.definitions())


@router.get("/{name}", responses=_ERRORS)
async def get_tool(name: str, _caller: CallerDep, invoker: InvokerDep) -> ToolDefinition:
    """Describe one tool, by its name or an alias."""
    return invoker.definition(name)


@router.post("/{name}/invoke", responses=_INVOKE_ERRORS, openapi_extra=_INVOKE_BODY, response_model=ToolResult)
async def invoke_tool(
    name: str, request: Request, caller: CallerDep, invoker: InvokerDep, call: InvokeRequestDep
) -> Response:
    """Call a tool. A tool that ran and failed answers 200 with `ok: false` and an `error` that a model can read.

    Closing the connection stops the tool. `workspace` names a folder that lives on between calls of this service.
    Calls take turns: services first, then the workspaces of a service, so that none waits for another's hundred.

    With `stream: true` the answer is server-sent events: `output` with `{"stream": "stdout" | "stderr", "text"}` while
    a tool prints whose definition says `streams`, comments while it is quiet, and at the end one `result` with what a
    plain call answers, or one `error` in the shape of all errors. A refusal at the start is an HTTP status as ever.
    """
    if call.request_id is not None:
        bind_request_id(call.request_id)
    if call.stream:
        frames = call_frames(invoker, caller, name, call)
        return EventStreamResponse(frames, headers=dict[str, str], render_failure=error_frame)
    result = await while_connected(request.receive, invoker.invoke(caller, name, call))
    return Response(result.model_dump_json(), media_type="application/json")
