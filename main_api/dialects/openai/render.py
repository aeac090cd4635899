"""Render a run in OpenAI's shapes: `chat.completion` whole, `chat.completion.chunk` frames as a stream.

Events that OpenAI does not know travel as chunks with `choices: []` and the portal document's fields at the top level.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import orjson

from main_api.agents.collect import Collected, CollectedCall, CollectedChoice
from main_api.chat.run import ChatRun
from main_api.events import (
    ChoiceFinished,
    Event,
    Notice,
    PlanMade,
    ReasoningDelta,
    RunFinished,
    SourceFound,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from shared.asgi import openai_error_body
from shared.errors import TwinportError
from shared.tools_contract import JsonObject, ToolResult

DONE = b"data: [DONE]\n\n"


def usage_object(usage: Usage) -> JsonObject:
    """OpenAI's `usage`, with its details."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def failure_frame(error: TwinportError) -> bytes:
    """The last frame of a stream that failed: OpenAI's error object, and no `[DONE]` after it."""
    return b"data: " + openai_error_body(error) + b"\n\n"


async def chunk_frames(run: ChatRun, *, include_usage: bool) -> AsyncGenerator[bytes, None]:
    """Yield the run as SSE frames, each with the event's id, `[DONE]` last."""
    rendered = _Chunks(run)
    events = run.events()
    try:
        number = 0
        async for event in events:
            for chunk in rendered.chunks(event, include_usage=include_usage):
                number += 1
                yield b"id: %d\ndata: %b\n\n" % (number, orjson.dumps(chunk, default=str))
        yield DONE
    finally:
        await events.aclose()


class _Chunks:
    """Turns events into chunk objects; remembers which choices have begun and ended."""

    def __init__(self, run: ChatRun) -> None:
        self._run = run
        self._begun: set[int] = set()
        self._ended: set[int] = set()

    def chunks(self, event: Event, *, include_usage: bool) -> list[JsonObject]:
        match event:
            case TextDelta(text=text, choice=choice, logprobs=logprobs):
                return [self._delta(choice, {"content": text}, logprobs=logprobs)]
            case ReasoningDelta(text=text, choice=choice):
                return [self._delta(choice, {"reasoning_content": text})]
            case ToolCallDelta():
                return [self._delta(event.choice, {"tool_calls": [_tool_call_delta(event)]})]
            case ChoiceFinished(finish_reason=reason, choice=choice):
                self._ended.add(choice)
                return [self._delta(choice, {}, finish_reason=reason)]
            case RunFinished():
                return self._closing(event, include_usage=include_usage)
            case UsageReported():
                return []
            case _:
                return [self._chunk([], agent_event(event))]

    def _closing(self, event: RunFinished, *, include_usage: bool) -> list[JsonObject]:
        open_choices = sorted((self._begun or {0}) - self._ended) if not self._ended else []
        closing = [self._delta(choice, {}, finish_reason=event.finish_reason) for choice in open_choices]
        if include_usage:
            closing.append(self._chunk([], {"usage": usage_object(event.usage)}))
        return closing

    def _delta(
        self,
        choice: int,
        delta: JsonObject,
        *,
        finish_reason: str | None = None,
        logprobs: JsonObject | None = None,
    ) -> JsonObject:
        if choice not in self._begun:
            self._begun.add(choice)
            delta = (
                {"role": "assistant", "content": "", **delta}
                if "tool_calls" not in delta
                else {"role": "assistant", "content": None, **delta}
            )
        body = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return self._chunk([body])

    def _chunk(self, choices: list[JsonObject], extra: Mapping[str, Any] | None = None) -> JsonObject:
        chunk: JsonObject = {
            "id": self._run.id,
            "object": "chat.completion.chunk",
            "created": self._run.created,
            "model": self._run.model,
            "choices": choices,
        }
        if self._run.session_id is not None:
            chunk["session_id"] = self._run.session_id
        if extra is not None:
            chunk.update(extra)
        return chunk


def _tool_call_delta(event: ToolCallDelta) -> JsonObject:
    function: JsonObject = {"arguments": event.arguments}
    call: JsonObject = {"index": event.index, "function": function}
    if event.id is not None:
        call |= {"id": event.id, "type": "function"}
    if event.name is not None:
        function["name"] = event.name
    return call


def agent_event(event: Event) -> JsonObject:
    """The portal's fields for an event of an agent: `type`, `tool_name`, `tool_id`, `status`, `result`."""
    match event:
        case ToolCallStarted():
            return {
                "type": "tool_call",
                "tool_name": event.name,
                "tool_id": event.call_id,
                "status": "executing",
                "arguments": event.arguments,
            }
        case ToolCallFinished():
            return {
                "type": "tool_result",
                "tool_name": event.name,
                "tool_id": event.call_id,
                "status": "completed" if event.result.ok else "failed",
                "result": tool_result(event.result),
            }
        case StepStarted():
            return {"type": "step", "number": event.number, "title": event.title}
        case PlanMade():
            return {"type": "plan", "steps": list(event.steps)}
        case SourceFound():
            return {"type": "source", "source": event.source.model_dump(exclude_none=True)}
        case Notice():
            return {"type": "notice", "code": event.code, "message": event.message, "details": event.details}
        case _:
            return {}


def tool_result(result: ToolResult) -> JsonObject:
    """A tool's answer as the portal shows it: `success`, `message`, and what the contract adds."""
    body: JsonObject = {"success": result.ok, "message": result.content, "data": result.data}
    if result.error is not None:
        body |= {"message": result.error.message, "error": result.error.type}
    if result.artifacts:
        body["artifacts"] = [artifact.model_dump() for artifact in result.artifacts]
    return body


def completion(run: ChatRun, answer: Collected) -> bytes:
    """Render a finished run as one `chat.completion`; what an agent did stands beside OpenAI's fields."""
    body: JsonObject = {
        "id": run.id,
        "object": "chat.completion",
        "created": run.created,
        "model": run.model,
        "choices": [_choice(index, choice) for index, choice in sorted(answer.choices.items())],
        "usage": usage_object(answer.usage),
    }
    if run.session_id is not None:
        body["session_id"] = run.session_id
    return orjson.dumps(body | _extras(answer), default=str)


def _choice(index: int, choice: CollectedChoice) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": choice.text, "refusal": None}
    if choice.tool_calls:
        message["tool_calls"] = [_whole_call(call) for _, call in sorted(choice.tool_calls.items())]
        message["content"] = choice.text or None
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    return {"index": index, "message": message, "logprobs": choice.logprobs, "finish_reason": choice.finish_reason}


def _whole_call(call: CollectedCall) -> JsonObject:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _extras(answer: Collected) -> JsonObject:
    extras: JsonObject = {
        "plan": list(answer.plan),
        "tool_results": [
            {
                "tool_name": run.name,
                "tool_id": run.call_id,
                "arguments": run.arguments,
                "status": "completed" if run.result.ok else "failed",
                "result": tool_result(run.result),
            }
            for run in answer.tool_runs
            if run.result is not None
        ],
        "sources": [source.model_dump(exclude_none=True) for source in answer.sources],
        "artifacts": [artifact.model_dump() for artifact in answer.artifacts],
        "notices": [{"code": notice.code, "message": notice.message} for notice in answer.notices],
    }
    return {name: value for name, value in extras.items() if value}
