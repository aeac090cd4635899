"""The catalogue of retrieval: collections, who may use them, documents and jobs. Texts and vectors are not in it.

A person is known by the name that a service gives them; "" is the service itself, "*" in a grant all of its people.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, UniqueConstraint
from sqlmodel import Field

from tools_api.db import Record, UtcDateTime


class RagCollection(Record, table=True):
    """A collection. `id` is `col_` and 128 random bits; a name is unique among its owner's."""

    __tablename__ = "rag_collection"
    __table_args__ = (UniqueConstraint("service", "person", "name", name="uq_rag_collection_owner_name"),)

    id: str = Field(primary_key=True, max_length=36)
    service: str = Field(max_length=64)
    person: str = Field(max_length=128)
    name: str = Field(max_length=200)
    description: str = Field(default="", max_length=2000)
    attributes: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What its owner wants to remember of it."""
    embedding_model: str | None = Field(default=None, max_length=200)
    """The name of the model behind its vectors; None until its first document."""
    embedding_fingerprint: str | None = Field(default=None, max_length=200)
    dimensions: int | None = None
    chunk_tokens: int
    index_type: str = Field(max_length=8)
    generation: int = 1
    state: str = Field(default="active", max_length=16)
    """`active` or `deleting`: the latter is gone for everybody, and its files go as soon as that can be."""
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class RagGrant(Record, table=True):
    """A person of the owner's service, or all of them (`*`), may read a collection, or write to it too."""

    __tablename__ = "rag_grant"
    __table_args__ = (Index("ix_rag_grant_person", "person"),)

    collection_id: str = Field(primary_key=True, foreign_key="rag_collection.id", ondelete="CASCADE", max_length=36)
    person: str = Field(primary_key=True, max_length=128)
    role: str = Field(max_length=8)
    """`reader` or `writer`."""
    created_at: datetime = Field(sa_type=UtcDateTime)


class RagJob(Record, table=True):
    """Work on documents that was asked for at once. Its counts are those of the documents that point at it."""

    __tablename__ = "rag_job"
    __table_args__ = (Index("ix_rag_job_owner", "service", "person", "id"),)

    id: str = Field(primary_key=True, max_length=36)
    collection_id: str = Field(foreign_key="rag_collection.id", ondelete="CASCADE", index=True, max_length=36)
    service: str = Field(max_length=64)
    person: str = Field(max_length=128)
    kind: str = Field(max_length=16)
    """`ingest` or `reindex`."""
    state: str = Field(max_length=16, index=True)
    """`queued`, `running`, `finished` or `cancelled`; a reindex can have `failed`."""
    total: int = 0
    """What it has to work on: documents, or the passages of a reindex."""
    unchanged: int = 0
    """Files that were there already, under the same name."""
    done: int = 0
    """What a reindex has behind it, in passages."""
    error_code: str | None = Field(default=None, max_length=64)
    error_message: str | None = Field(default=None, max_length=1000)
    created_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RagDocument(Record, table=True):
    """A document and how far it is. Within a collection a name is unique, and content is indexed once.

    `state` is `queued`, `parsing`, `embedding`, `indexing`, `indexed`, `failed` or `cancelled`, and speaks of `sha256`,
    the content that was uploaded last; `indexed_sha256` is what searches find until that one is ready. A document that
    is `deleting` is gone for everybody, and its text and files go as soon as that can be.
    """

    __tablename__ = "rag_document"
    __table_args__ = (
        UniqueConstraint("collection_id", "name", name="uq_rag_document_collection_name"),
        Index("ix_rag_document_collection_sha256", "collection_id", "sha256"),
        Index("ix_rag_document_state", "state", "batch_id"),
    )

    id: str = Field(primary_key=True, max_length=36)
    collection_id: str = Field(foreign_key="rag_collection.id", ondelete="CASCADE", max_length=36)
    name: str = Field(max_length=500)
    """A label: it may have slashes in it, and is never a path of ours."""
    media_type: str = Field(max_length=100)
    size: int = Field(sa_type=BigInteger)
    sha256: str = Field(max_length=64)
    indexed_sha256: str | None = Field(default=None, max_length=64)
    duplicate_of: str | None = Field(default=None, index=True, max_length=36)
    """The document of this collection that has the same content and is indexed for both. State, percent, error, pages
    and `indexed_sha256` are then copies of that one's; `chunks` is 0, so that sums count each once, as soon as what
    this one had in the index before has left it."""
    state: str = Field(max_length=16)
    percent: int = 0
    error_code: str | None = Field(default=None, max_length=64)
    error_message: str | None = Field(default=None, max_length=1000)
    retryable: bool = False
    attempts: int = 0
    pages: int | None = None
    chunks: int = 0
    attributes: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """Its owner's metadata."""
    job_id: str | None = Field(default=None, index=True, max_length=36)
    batch_id: str | None = Field(default=None, max_length=36)
    """The workflow that works on it now."""
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
