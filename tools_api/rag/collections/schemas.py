"""Collections and grants on the wire. Requests refuse unknown fields."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tools_api.rag.collections.values import EVERYBODY, MAX_NAME, Role, normal_name
from tools_api.rag.values import MAX_PERSON, IndexType

if TYPE_CHECKING:
    from tools_api.rag.collections.service import CollectionView

MAX_DESCRIPTION = 2000
_MAX_METADATA_KEYS = 64
_MAX_METADATA_BYTES = 16_384
_NO_NUL = "the character NUL cannot be kept"


def _checked_name(name: str) -> str:
    normal = normal_name(name)
    if normal is None:
        raise ValueError(
            f"a name has 1 to {MAX_NAME} visible characters, spaces between them, and no slashes; ids are no names"
        )
    return normal


def checked_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata of a collection or a document that can be kept. Raises `ValueError`."""
    written = orjson.dumps(metadata)
    if len(metadata) > _MAX_METADATA_KEYS or len(written) > _MAX_METADATA_BYTES:
        raise ValueError(f"at most {_MAX_METADATA_KEYS} fields and {_MAX_METADATA_BYTES} bytes in all")
    if b"\\u0000" in written.replace(b"\\\\", b""):
        raise ValueError(_NO_NUL)
    return metadata


def _checked_text(text: str) -> str:
    if "\0" in text:
        raise ValueError(_NO_NUL)
    return text


def _checked_person(person: str) -> str:
    if any(not letter.isprintable() or letter.isspace() for letter in person):
        raise ValueError(f"name one person in visible characters, or {EVERYBODY} for everybody")
    return person


Name = Annotated[str, AfterValidator(_checked_name), Field(max_length=4 * MAX_NAME, examples=["handbook"])]
Description = Annotated[str, AfterValidator(_checked_text), Field(max_length=MAX_DESCRIPTION)]
Metadata = Annotated[dict[str, Any], AfterValidator(checked_metadata)]
ChunkTokens = Annotated[int, Field(ge=16, le=8192)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class CreateCollection(_Request):
    """`index_type` is how FAISS searches the larger parts of the collection, `chunk_tokens` the most that a passage has
    (less if the embedding model reads less); what is left out is the server's default. `metadata` is yours to keep."""

    name: Name
    description: Description = ""
    index_type: IndexType | None = None
    chunk_tokens: ChunkTokens | None = None
    metadata: Metadata = Field(default_factory=dict)


class ChangeCollection(_Request):
    """What is left out stays. `metadata` is replaced as a whole; `chunk_tokens` counts for what is indexed later."""

    name: Name | None = None
    description: Description | None = None
    chunk_tokens: ChunkTokens | None = None
    metadata: Metadata | None = None


class DocumentCounts(_Answer):
    """Documents by how they stand; `pending` are those that wait or are worked on."""

    total: int = 0
    indexed: int = 0
    pending: int = 0
    failed: int = 0


class CollectionAnswer(_Answer):
    """A collection as the caller sees it. `owner` is the person whom it belongs to, "" for the service itself; `role`
    what the caller is to it. With `needs_reindex` its vectors are of another embedding model than today's: until
    it is indexed anew, it is searched by words alone. `bytes` are those of its originals."""

    id: str
    object: Literal["collection"] = "collection"
    name: str
    description: str
    owner: str
    role: Role
    state: Literal["ready", "indexing"]
    index_type: IndexType
    chunk_tokens: int
    embedding_model: str | None
    dimensions: int | None
    needs_reindex: bool
    documents: DocumentCounts
    chunks: int
    bytes: int
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class CollectionList(_Answer):
    """A page of collections, the newest first; give `last_id` as `after` to get the next one."""

    object: Literal["list"] = "list"
    data: list[CollectionAnswer]
    has_more: bool
    last_id: str | None


class CollectionDeleted(_Answer):
    """The collection, its documents, its passages and its index are gone."""

    id: str
    object: Literal["collection.deleted"] = "collection.deleted"
    deleted: Literal[True] = True


class GiveGrant(_Request):
    """`person` is one of the same service as the header `X-Acting-For` names them, or `*` for all of them. A `reader`
    searches and reads, a `writer` adds and removes documents too."""

    person: Annotated[str, AfterValidator(_checked_person), Field(min_length=1, max_length=MAX_PERSON)]
    role: Literal["reader", "writer"] = "reader"


class GrantAnswer(_Answer):
    """With whom a collection is shared, and as what."""

    object: Literal["grant"] = "grant"
    person: str
    role: Literal["reader", "writer"]


class GrantList(_Answer):
    """All grants of a collection."""

    object: Literal["list"] = "list"
    data: list[GrantAnswer]
    has_more: Literal[False] = False
    last_id: str | None


class GrantRevoked(_Answer):
    """From now on this person does not reach the collection any more, unless it is shared with everybody."""

    person: str
    object: Literal["grant.deleted"] = "grant.deleted"
    deleted: Literal[True] = True


def as_answer(view: "CollectionView") -> CollectionAnswer:
    """Return a collection and what is in it as the wire has it."""
    collection, contents = view.collection, view.contents
    return CollectionAnswer(
        id=collection.id,
        name=collection.name,
        description=collection.description,
        owner=collection.owner.person,
        role=collection.role,
        state="indexing" if contents.pending else "ready",
        index_type=collection.index_type,
        chunk_tokens=collection.chunk_tokens,
        embedding_model=collection.model,
        dimensions=collection.dimensions,
        needs_reindex=view.needs_reindex,
        documents=DocumentCounts(
            total=contents.documents, indexed=contents.indexed, pending=contents.pending, failed=contents.failed
        ),
        chunks=contents.chunks,
        bytes=contents.bytes,
        metadata=dict(collection.metadata),
        created_at=collection.created_at,
        updated_at=collection.updated_at,
    )
