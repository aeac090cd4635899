"""`POST /v1/chat/completions`: OpenAI's chat endpoint, the product's front door."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.responses import Response

from main_api.agents.collect import collect
from main_api.auth.deps import authenticate_request, scoped
from main_api.chat.call import ChatCall
from main_api.chat.relay import RelayRun
from main_api.chat.run import ChatRun
from main_api.chat.service import ChatService
from main_api.dialects.direct_route import DirectRoute
from main_api.dialects.errors import validation_failure
from main_api.dialects.openai.json_body import json_body
from main_api.dialects.openai.render import chunk_frames, completion, failure_frame
from main_api.dialects.openai.schemas import ChatCompletionRequest, PortalTools, sampling_options
from shared.disconnect import while_connected
from shared.sse import EventStreamResponse, ServerStops
from shared.tools_contract import JsonObject

_AGENT_WITH_TOOLS = "react"

_BODY_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": ChatCompletionRequest.model_json_schema(by_alias=True)}},
    }
}


def add_openai_routes(app: FastAPI) -> None:
    """Mount the dialect, in front: routes are tried in order, and this is the busy one."""
    app.router.add_api_route(
        "/v1/chat/completions",
        create_chat_completion,
        methods=["POST"],
        tags=["openai"],
        response_class=Response,
        openapi_extra=_BODY_SCHEMA,
        route_class_override=DirectRoute,
    )
    app.router.routes.insert(0, app.router.routes.pop())


async def create_chat_completion(request: Request) -> Response:
    """Answer a conversation, whole or as server-sent events (`stream: true`).

    OpenAI's fields mean what OpenAI documents. `agent_type` picks an agent, `available_tools` the server-side tools
    it may use, `session_id` continues a stored chat, `store` says whether this one is kept. Agent events appear in the
    stream as chunks with `choices: []`, and as `tool_results` in a whole answer. Needs the scope `chat`.
    """
    principal = scoped(await authenticate_request(request), "chat")
    body = await json_body(request)
    parsed = _checked(body)
    chat = cast("ChatService", request.state.chat)
    run = await chat.open(_call(body, parsed), principal)
    if parsed.stream:
        return _streamed(run, include_usage=parsed.stream_options is not None and parsed.stream_options.include_usage)
    try:
        return await while_connected(request.receive, _whole(run))
    except asyncio.CancelledError:
        raise ServerStops from None


def _checked(body: JsonObject) -> ChatCompletionRequest:
    try:
        return ChatCompletionRequest.model_validate(body)
    except ValidationError as error:
        raise validation_failure(error.errors(include_url=False, include_context=False)) from None


def _call(body: JsonObject, parsed: ChatCompletionRequest) -> ChatCall:
    return ChatCall(
        messages=tuple(body["messages"]),
        model=parsed.model,
        options=sampling_options(body),
        agent_type=_agent_type(parsed),
        server_tools=_server_tools(parsed),
        session_id=parsed.session_id,
        store=parsed.store,
    )


def _server_tools(parsed: ChatCompletionRequest) -> tuple[str, ...] | None:
    """Return the tools that the body names. An empty list means none, as it says."""
    named = parsed.available_tools
    if named is None and isinstance(parsed.tools, PortalTools):
        named = parsed.tools.allowedTools if parsed.tools.enabled else []
    return None if named is None else tuple(named)


def _agent_type(parsed: ChatCompletionRequest) -> str | None:
    """Return the agent that the body names; the portal's `tools` object may ask for one without saying which tools."""
    tools = parsed.tools
    if parsed.agent_type is None and isinstance(tools, PortalTools) and tools.enabled and tools.allowedTools is None:
        return _AGENT_WITH_TOOLS
    return parsed.agent_type


async def _whole(run: ChatRun | RelayRun) -> Response:
    if isinstance(run, RelayRun):
        return Response(await run.answer(), media_type="application/json")
    answer = await collect(run.events())
    return Response(completion(run, answer), media_type="application/json", headers=_session_header(run))


def _streamed(run: ChatRun | RelayRun, *, include_usage: bool) -> EventStreamResponse:
    frames: AsyncGenerator[bytes, None]
    if isinstance(run, RelayRun):
        frames = run.frames(include_usage=include_usage)
    else:
        frames = chunk_frames(run, include_usage=include_usage)
    return EventStreamResponse(frames, headers=lambda: _session_header(run), render_failure=failure_frame)


def _session_header(run: ChatRun | RelayRun) -> dict[str, str]:
    if isinstance(run, RelayRun) or run.session_id is None:
        return {}
    return {"x-session-id": run.session_id}
