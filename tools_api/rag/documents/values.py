"""A document as the other parts see it, and what an upload comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from tools_api.rag.values import ParseFailure

DocumentState = Literal["queued", "parsing", "embedding", "indexing", "indexed", "failed", "cancelled"]
UNFINISHED: tuple[DocumentState, ...] = ("queued", "parsing", "embedding", "indexing")
"""The states in which a document waits or is worked on."""
Outcome = Literal["queued", "unchanged", "duplicate", "failed"]
"""What became of an uploaded file: it is new, or a new version, and will be indexed; the collection had it already
under that name; another document of the collection has its content, and is indexed for both; or nothing can be made of
it, and its error says why."""


@dataclass(frozen=True, slots=True)
class DocumentError:
    """Why a document is not indexed: a stable word and a sentence. `retryable` if the same bytes may succeed later."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document and how far it is, 0 to 100 `percent`.

    `searchable` says whether searches find it: also while a newer version of it is being made ready, which has `state`.
    `duplicate_of` is the document that is indexed for this one; this one's state is that one's.
    """

    id: str
    collection_id: str
    name: str
    media_type: str
    size: int
    sha256: str
    state: DocumentState
    percent: int
    searchable: bool
    chunks: int
    attempts: int
    created_at: datetime
    updated_at: datetime
    pages: int | None = None
    error: DocumentError | None = None
    duplicate_of: str | None = None
    job_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that came with an upload and lies on the disk: its label, what it says it is, its bytes' digest.

    `failure` says why nothing can be made of it, if that is known already: of an archive that can't be taken apart, or
    of a file with too many bytes. Of that one nothing lies on the disk: it is not `kept`, and its size is 0.
    """

    name: str
    media_type: str
    path: Path
    size: int
    sha256: str
    failure: ParseFailure | None = None
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Accepted:
    """A file of an upload, and what became of it."""

    document: Document
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Upload:
    """What an upload came to: the job that works on it, and its files in the order in which they came."""

    job_id: str
    files: tuple[Accepted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an upload and an owner may bring. `owner_bytes` and `owner_files` are of all collections of an owner."""

    file_bytes: int = 100 * 1024 * 1024
    files: int = 1000
    owner_bytes: int = 10 * 1024 * 1024 * 1024
    owner_files: int = 100_000
