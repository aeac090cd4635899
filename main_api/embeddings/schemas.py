"""The request body of OpenAI's embeddings. Unknown fields are ignored, as OpenAI's SDKs expect.

Who makes the vectors knows what a text may hold; here only the shape is looked at, and that there is not too much.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from shared.tools_contract import JsonObject

MAX_INPUTS = 2048
"""What OpenAI takes in one request."""

_Token = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
_Tokens = Annotated[list[_Token], Field(min_length=1, max_length=8192)]


class EmbeddingsRequest(BaseModel):
    """Texts, or texts as token ids where the model's owner takes those. `dimensions` cuts vectors that can be cut."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: Annotated[str, Field(min_length=1, max_length=256, examples=["all-MiniLM-L6-v2"])]
    input: (
        StrictStr
        | Annotated[list[StrictStr], Field(min_length=1, max_length=MAX_INPUTS)]
        | _Tokens
        | Annotated[list[_Tokens], Field(min_length=1, max_length=MAX_INPUTS)]
    ) = Field(examples=["How do people log in?"])
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[StrictInt, Field(ge=1, le=65_536)] | None = None

    def wire(self, model: str) -> JsonObject:
        """Return the body for who makes the vectors, with its own name of the model."""
        body: dict[str, Any] = {"model": model, "input": self.input, "encoding_format": self.encoding_format}
        return body if self.dimensions is None else {**body, "dimensions": self.dimensions}
