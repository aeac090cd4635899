"""Models as OpenAI's `/v1/models` shows them, and what we add."""

from typing import Literal

from pydantic import BaseModel

from main_api.backends.protocol import ModelInfo


class ModelCapabilities(BaseModel):
    """What a model can do here."""

    tools: Literal["native", "json_schema", "text"]
    json_schema: bool
    multiple_choices: bool
    logprobs: bool
    vision: bool


class Model(BaseModel):
    """OpenAI's model object. The fields after `owned_by` are ours; clients of OpenAI pass over them.

    `type` is `embedding` for one that makes vectors of `dimensions` numbers and cannot chat.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    type: Literal["chat", "embedding"] = "chat"
    description: str | None = None
    context_length: int | None = None
    dimensions: int | None = None
    size_bytes: int | None = None
    loaded: bool | None = None
    capabilities: ModelCapabilities

    @classmethod
    def of(cls, info: ModelInfo) -> "Model":
        """Show one model of a backend."""
        able = info.capabilities
        return cls(
            id=info.id,
            created=info.created,
            owned_by=info.owned_by,
            type=info.kind,
            dimensions=info.dimensions,
            description=info.description,
            context_length=able.context_length,
            size_bytes=info.size_bytes,
            loaded=info.loaded,
            capabilities=ModelCapabilities(
                tools=able.tool_mode,
                json_schema=able.json_schema,
                multiple_choices=able.multiple_choices,
                logprobs=able.logprobs,
                vision=able.vision,
            ),
        )


class ModelList(BaseModel):
    """OpenAI's list; it has no pages."""

    object: Literal["list"] = "list"
    data: list[Model]
