"""What an agent in the sandbox may ask of a model: a list of what is known, everything else is refused.

The request is read and written anew, so that nothing reaches the model's server that this file does not name. Left out
on purpose: other models than the configured one, parts of messages that are not text (a server that fetches an image
by its URL would be a way out of the sandbox), tools that the server itself would run, several answers at once.
"""

from typing import Any, Literal, cast

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

_MAX_VALUES = 20_000
"""A hundred turns have some 3,000. Millions would keep the event loop busy for seconds."""


class RequestRefused(Exception):
    """The request asks for what is not on the list; the message says what."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _TextPart(_Strict):
    type: Literal["text"]
    text: str


class _CalledFunction(_Strict):
    name: str
    arguments: str


class _Call(_Strict):
    id: str
    type: Literal["function"] = "function"
    function: _CalledFunction


class _Message(_Strict):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_TextPart] | None = None
    name: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class _Function(_Strict):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(_Strict):
    type: Literal["function"]
    function: _Function


class _NamedFunction(_Strict):
    name: str


class _ToolChoice(_Strict):
    type: Literal["function"]
    function: _NamedFunction


class _StreamOptions(_Strict):
    include_usage: bool | None = None


class ChatRequest(_Strict):
    """A request to `POST /v1/chat/completions`, as far as nanocoder's client uses it."""

    model: str
    messages: list[_Message] = Field(min_length=1)
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    reasoning_effort: str | None = None


def rebuilt(body: bytes, *, model: str) -> bytes:
    """Return the request as it may go out. Raises `RequestRefused`."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RequestRefused("the body is not valid JSON") from None
    if _has_too_many_values(parsed):
        raise RequestRefused(f"the body has more than {_MAX_VALUES} values")
    try:
        request = ChatRequest.model_validate(parsed)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, problem["loc"]))[:80]
        raise RequestRefused(f"{where or 'the body'}: {problem['msg']}"[:300]) from None
    if request.model != model:
        raise RequestRefused(f"model: the only one here is {model!r}")
    try:
        return request.model_dump_json(exclude_unset=True).encode()
    except ValueError:  # what pydantic says of hundreds of levels
        raise RequestRefused("the body is nested too deeply") from None


def _has_too_many_values(parsed: object) -> bool:
    seen = 0
    waiting = [parsed]
    while waiting:
        value = waiting.pop()
        inner: list[object] = []
        if isinstance(value, dict):
            inner = list(cast("dict[str, object]", value).values())
        elif isinstance(value, list):
            inner = cast("list[object]", value)
        seen += len(inner)
        if seen > _MAX_VALUES:
            return True
        waiting += inner
    return False
