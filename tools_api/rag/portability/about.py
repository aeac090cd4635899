"""What a snapshot says of its collection besides its content: it stands in the ZIP archive's comment."""

import zipfile
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import InvalidRequest
from tools_api.rag.collections.schemas import ChunkTokens, Description, Metadata, Name
from tools_api.rag.collections.values import Collection


class About(BaseModel):
    """A collection's name and settings. Unknown fields are those of a newer version, and are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: Name | None = None
    description: Description = ""
    chunk_tokens: ChunkTokens | None = None
    metadata: Metadata = Field(default_factory=dict[str, Any])
    embedding_model: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")] | None = None


def about(collection: Collection) -> About:
    """Return what is kept of a collection."""
    return About(
        name=collection.name,
        description=collection.description,
        chunk_tokens=collection.chunk_tokens,
        metadata=dict(collection.metadata),
        embedding_model=collection.model,
    )


def write_about(path: Path, said: About) -> None:
    """Write it into a snapshot. Blocking."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = said.model_dump_json().encode()


def read_about(path: Path) -> About:
    """Read it from a snapshot that may be anybody's; one without it has no name. Blocking. Raises `InvalidRequest`."""
    try:
        with zipfile.ZipFile(path) as archive:
            comment = archive.comment
        return About.model_validate_json(comment) if comment else About()
    except (zipfile.BadZipFile, NotImplementedError, ValidationError, ValueError):
        raise InvalidRequest(
            "The body is no snapshot of a collection: send the file of `…/snapshot` as it is (curl: `--data-binary "
            "@file`)."
        ) from None
