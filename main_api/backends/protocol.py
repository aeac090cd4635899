"""What a model backend is: the values it takes and gives, and the Protocols that agents and services see.

Messages and options are OpenAI's own wire objects: that dialect is the lingua franca of engines and providers, and a
second vocabulary would lose fields on the way. A backend that speaks another protocol translates at its own seam.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from main_api.events import ModelEvent
from shared.tools_contract import JsonObject

Message = JsonObject
"""One OpenAI chat message: `role`, `content` (text or parts), `tool_calls`, `tool_call_id`, …"""

ToolMode = Literal["native", "json_schema", "text"]
"""How a model is best asked for a tool call: OpenAI `tools`, a constrained JSON step, or plain text to be parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One model turn. `model` is the backend's own name for it; `options` are OpenAI's other fields as given
    (`temperature`, `max_completion_tokens`, `tools`, `response_format`, `stop`, `n`, …)."""

    model: str
    messages: Sequence[Message]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a model can do on this backend. `context_length` is in tokens, None where unknown."""

    tool_mode: ToolMode = "native"
    json_schema: bool = True
    multiple_choices: bool = True
    logprobs: bool = True
    vision: bool = False
    context_length: int | None = None
    tool_prompt: Literal["schema", "signature"] = "schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model as `/v1/models` lists it: `id` is the public name, e.g. `ollama/qwen2.5:14b`. `dimensions` are those of
    the vectors of one that makes embeddings."""

    id: str
    owned_by: str
    created: int = 0
    description: str | None = None
    loaded: bool | None = None
    size_bytes: int | None = None
    kind: Literal["chat", "embedding"] = "chat"
    dimensions: int | None = None
    capabilities: Capabilities = Capabilities()


class Backend(Protocol):
    """A family of models reached in one way. `name` is the prefix of its models' public names."""

    @property
    def name(self) -> str: ...

    async def models(self) -> list[ModelInfo]:
        """List what can be asked now. An unreachable backend raises `Unavailable`."""
        ...

    async def capabilities(self, model: str) -> Capabilities: ...

    def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        """Run one turn. Closing the iterator cancels it at the backend.

        Raises the tree of `shared.errors`: `NotFound` for an unknown model, `InvalidRequest` for what the backend
        refuses, `UpstreamFailed`, `Unavailable`, `RateLimited`, `DeadlineExceeded`.
        """
        ...

    async def aclose(self) -> None: ...


class RelayedAnswer(Protocol):
    """An upstream's OpenAI answer whose bytes may go to the caller as they are. The status is already known good."""

    @property
    def content_type(self) -> str: ...

    async def read(self) -> bytes: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, in whatever pieces the network gives."""
        ...


@runtime_checkable
class RelayBackend(Protocol):
    """A backend that speaks OpenAI's protocol itself, so that a plain answer needs no translation."""

    def relay(self, model: str, body: JsonObject) -> AbstractAsyncContextManager[RelayedAnswer]:
        """Send `body` (its `model` is replaced by `model`); errors are raised as in `Backend.stream`."""
        ...


@runtime_checkable
class EmbeddingBackend(Protocol):
    """A backend that makes vectors of texts, too."""

    async def embed(self, body: JsonObject) -> bytes:
        """Send the body of OpenAI's embeddings and return the answer. Errors are raised as in `Backend.stream`."""
        ...


class ChatModel(Protocol):
    """One resolved model with its fallbacks, as agents see it."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def stream(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[ModelEvent]:
        """Run one turn; `options` are OpenAI's fields."""
        ...
