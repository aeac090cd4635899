"""What an agent in the sandbox may ask of a model: a list of what is known, everything else is refused.

The request is read and written anew, so that nothing reaches the model's server that this file does not name. Left out
on purpose: other models than the configured one, parts of messages that are not text (a server that fetches an image
by its URL would be a way out of the sandbox), tools that the server itself would run, several answers at once.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


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
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, problem["loc"]))[:80]
        raise RequestRefused(f"{where or 'the body'}: {problem['msg']}"[:300]) from None
    if request.model != model:
        raise RequestRefused(f"model: the only one here is {model!r}")
    return request.model_dump_json(exclude_unset=True).encode()
