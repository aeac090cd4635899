"""Jobs, and the pieces of work that they are done in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from tools_api.rag.documents.values import DocumentError, DocumentState
from tools_api.rag.values import IndexType, Owner

JobKind = Literal["ingest", "reindex"]
JobState = Literal["queued", "running", "finished", "failed", "cancelled"]
ENDED: tuple[JobState, ...] = ("finished", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that was asked for at once. `documents` counts its documents by state; those that were removed since, or
    that went over to another job, are in none.

    `unchanged` counts files that were there already. `percent` is 0 to 100.
    """

    id: str
    collection_id: str
    owner: Owner
    kind: JobKind
    state: JobState
    total: int
    unchanged: int
    percent: int
    created_at: datetime
    documents: Mapping[DocumentState, int] = field(default_factory=dict[DocumentState, int])
    error: DocumentError | None = None
    note: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A document that is to be made searchable. `attributes` is its owner's metadata."""

    id: str
    name: str
    media_type: str
    sha256: str
    created_at: datetime
    job_id: str | None
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Documents of one collection that one person brought, worked on together. `fingerprint` is the collection's."""

    id: str
    collection_id: str
    index_type: IndexType
    chunk_tokens: int
    fingerprint: str | None
    documents: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """A document that is in the index now."""

    id: str
    media_type: str
    pages: int | None
    chunks: int
