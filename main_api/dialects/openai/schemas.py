"""The request body of OpenAI's chat completions, with our extras. Unknown fields are ignored, as OpenAI's SDKs expect.

Bounds that OpenAI documents are kept; where it documents none, ours keep one request from starving the others. Numbers
and truth values are strict, because backends get the body as it was sent: `"2"` is no number to them either.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, field_validator, model_validator

from main_api.backends.openai_wire_json import as_list, as_object
from shared.tools_contract import JsonObject

SessionId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ContentPart(_Lenient):
    """One part of a multi-part content: `text`, `image_url`, `input_audio`, `file` or `refusal`."""

    type: Literal["text", "image_url", "input_audio", "file", "refusal"]
    text: str | None = None
    image_url: JsonObject | None = None

    @model_validator(mode="after")
    def _complete(self) -> "ContentPart":
        if self.type == "text" and self.text is None:
            raise ValueError("a part of type text needs the field text")
        if self.type == "image_url" and not isinstance((self.image_url or {}).get("url"), str):
            raise ValueError("a part of type image_url needs image_url.url")
        return self


class ChatMessage(_Lenient):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[ContentPart], Field(min_length=1, max_length=256)] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: Annotated[list[JsonObject], Field(max_length=256)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "ChatMessage":
        if self.role == "assistant" and (self.content is not None or self.tool_calls is not None):
            return self
        if self.role == "assistant":
            raise ValueError("an assistant message needs content or tool_calls")
        if self.content is None:
            raise ValueError(f"a {self.role} message needs content")
        if self.role == "tool" and self.tool_call_id is None:
            raise ValueError("a tool message needs tool_call_id")
        return self


class FunctionDefinition(_Lenient):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: JsonObject | None = None


class ClientTool(_Lenient):
    """A tool that the caller runs itself; the model's calls of it go back to the caller."""

    type: Literal["function"]
    function: FunctionDefinition


class PortalTools(_Lenient):
    """The portal's way to name server-side tools: `{"enabled": true, "allowedTools": ["calculator"]}`."""

    enabled: StrictBool = True
    allowedTools: Annotated[list[str], Field(max_length=128)] | None = None  # noqa: N815 - the portal's name


class StreamOptions(_Lenient):
    include_usage: StrictBool = False


class JsonSchemaFormat(_Lenient):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    schema_: Annotated[JsonObject | None, Field(alias="schema")] = None
    strict: StrictBool | None = None


class ResponseFormat(_Lenient):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None

    @model_validator(mode="after")
    def _has_schema(self) -> "ResponseFormat":
        if self.type == "json_schema" and (self.json_schema is None or self.json_schema.schema_ is None):
            raise ValueError("type json_schema needs json_schema.name and json_schema.schema")
        return self


_MOST_MESSAGES = 4096
_MOST_PARTS = 4096
Tokens = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
StopSequence = Annotated[str, Field(min_length=1, max_length=1000)]
Bias = Annotated[float, Field(strict=True, ge=-100, le=100)]
Penalty = Annotated[float, Field(strict=True, ge=-2, le=2)]


class ChatCompletionRequest(_Lenient):
    """OpenAI's body for `POST /v1/chat/completions`, and Twinport's extras at the end."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=_MOST_MESSAGES)]
    model: Annotated[str, Field(max_length=256)] | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(strict=True, ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(strict=True, ge=0, le=1)] | None = None
    n: Annotated[int, Field(strict=True, ge=1, le=16)] | None = None
    stop: StopSequence | Annotated[list[StopSequence], Field(max_length=16)] | None = None
    seed: Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Annotated[dict[str, Bias], Field(max_length=1024)] | None = None
    logprobs: StrictBool | None = None
    top_logprobs: Annotated[int, Field(strict=True, ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[ClientTool], Field(max_length=128)] | PortalTools | None = None
    tool_choice: Literal["none", "auto", "required"] | JsonObject | None = None
    parallel_tool_calls: StrictBool | None = None
    reasoning_effort: Annotated[str, Field(max_length=16)] | None = None
    grammar: Annotated[str, Field(max_length=65_536)] | None = Field(None, description="GBNF, for llama.cpp's engines")

    agent_type: Annotated[str, Field(max_length=64)] | None = Field(None, description="`chat` or `react`")
    available_tools: Annotated[list[str], Field(max_length=128)] | None = Field(
        None, description="Server-side tools that an agent may use"
    )
    session_id: SessionId | None = Field(None, description="Continue this stored conversation")
    store: StrictBool | None = Field(
        None, description="Keep the chat as a session (default: yes for a person, no for a key)"
    )

    @field_validator("messages", mode="before")
    @classmethod
    def _not_too_many_parts(cls, messages: object) -> object:
        """Count before each part is checked: a body of a few megabytes may hold hundreds of thousands."""
        listed = as_list(messages) or []
        if sum(map(_parts, listed[: _MOST_MESSAGES + 1])) > _MOST_PARTS:
            raise ValueError(f"all messages together may hold {_MOST_PARTS} content parts and tool calls at most")
        return messages

    @model_validator(mode="after")
    def _consistent(self) -> "ChatCompletionRequest":
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        if self.store is False and self.session_id is not None:
            raise ValueError("session_id continues a stored session, so store: false contradicts it")
        return self


def _parts(message: object) -> int:
    fields = as_object(message) or {}
    return sum(len(as_list(fields.get(name)) or ()) for name in ("content", "tool_calls"))


_OPENAI = """
    temperature top_p n stop seed max_tokens max_completion_tokens presence_penalty frequency_penalty logit_bias
    logprobs top_logprobs response_format tools tool_choice parallel_tool_calls reasoning_effort verbosity
    service_tier prediction modalities audio user metadata safety_identifier prompt_cache_key
"""
_ENGINES = "top_k min_p typical_p repetition_penalty repeat_penalty mirostat grammar chat_template_kwargs"

PASSED_ON = frozenset(_OPENAI.split() + _ENGINES.split())
"""The fields that reach a backend: OpenAI's, and the sampling extras of common engines. Anything else, such as an
address or a key of a provider in the body, stays here."""


def sampling_options(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a checked body that a backend gets, as they were sent; nulls mean absent."""
    options = {name: value for name, value in body.items() if name in PASSED_ON and value is not None}
    if not isinstance(options.get("tools", []), list) or options.get("tools") == []:
        del options["tools"]
    return options
