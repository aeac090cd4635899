"""OpenAI's request for embeddings, as https://platform.openai.com/docs/api-reference/embeddings has it, and two more.

`input_type` marks a question or a passage for models that tell them apart, as NVIDIA's and Cohere's APIs do; `truncate`
says what happens to inputs that are longer than the model reads, as in Ollama's.
"""

from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tools_api.embeddings.protocol import TextKind

MAX_INPUTS = 2048


class EmbeddingsRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str | list[str] = Field(description=f"A text, or up to {MAX_INPUTS} of them; none may be empty")
    model: str = Field(min_length=1, max_length=300)
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, description="Only the model's own number: vectors are not shortened")
    user: str | None = Field(None, max_length=1000, description="Accepted, not used")
    input_type: TextKind = Field("passage", description="query or passage, for models that mark the two differently")
    truncate: bool = Field(
        True,
        description="Cut inputs to what the model reads (the header X-Truncated-Inputs counts them), or refuse them",
    )

    @field_validator("input", mode="before")
    @classmethod
    def _texts(cls, value: object) -> object:
        """Refuse what is no text in words, before a union of types says it in types."""
        if isinstance(value, str):
            if not value:
                raise ValueError("an empty text has no embedding")
            return value
        if not isinstance(value, list):
            raise ValueError("send a text or a list of texts")  # noqa: TRY004 -- pydantic's word for a wrong value
        items = cast("list[Any]", value)
        if not 1 <= len(items) <= MAX_INPUTS:
            raise ValueError(f"send 1 to {MAX_INPUTS} texts, not {len(items)}")
        if any(isinstance(item, int | list) for item in items):
            raise ValueError(
                "token ids mean something only to the model whose tokenizer made them; send texts "
                "(LangChain: check_embedding_ctx_length=False)"
            )
        if "" in items:
            raise ValueError(f"the text at index {items.index('')} is empty, and an empty text has no embedding")
        return items

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input
