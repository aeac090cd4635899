"""Documents and uploads on the wire. Requests refuse unknown fields."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tools_api.rag.collections.schemas import Metadata
from tools_api.rag.documents.names import MAX_NAME
from tools_api.rag.documents.values import Accepted, Document, DocumentState, Outcome, Upload


class TextDocument(BaseModel):
    """A text as a document. `name` says its format by its extension; without one it is plain text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME, examples=["notes/meeting.md"])]
    text: Annotated[str, Field(min_length=1)]
    metadata: Metadata | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class DocumentErrorAnswer(_Answer):
    """Why a document is not indexed. `retryable`: the same bytes may succeed later (`…/retry`)."""

    code: str
    message: str
    retryable: bool


class DocumentAnswer(_Answer):
    """A document and how far it is.

    `state` goes from `queued` over `parsing`, `embedding` and `indexing` to `indexed`, or ends as `failed` or
    `cancelled`. It speaks of the content that was uploaded last; `searchable` says whether searches find the document:
    while a new version is made ready they find the one before. A document with `duplicate_of` has the content of that
    one, which is found for both.
    """

    id: str
    object: Literal["document"] = "document"
    collection: str
    name: str
    media_type: str
    bytes: int
    sha256: str
    state: DocumentState
    percent: int
    searchable: bool
    duplicate_of: str | None
    pages: int | None
    chunks: int
    attempts: int
    error: DocumentErrorAnswer | None
    metadata: dict[str, Any]
    job: str | None
    created_at: datetime
    updated_at: datetime


class UploadedDocument(DocumentAnswer):
    """`outcome`: `queued` (new, or a new version), `unchanged` (it was there under this name), `duplicate`, or `failed`
    (nothing can be made of it, as of an archive that is broken)."""

    outcome: Outcome


class UploadAnswer(_Answer):
    """What the upload came to. Follow the job at `/v1/rag/jobs/{job}/events`."""

    object: Literal["upload"] = "upload"
    job: str
    documents: list[UploadedDocument]


class DocumentList(_Answer):
    """A page of documents, the newest first; give `last_id` as `after` to get the next one."""

    object: Literal["list"] = "list"
    data: list[DocumentAnswer]
    has_more: bool
    last_id: str | None


class DocumentDeleted(_Answer):
    """The document is gone from searches, the catalogue and the disk."""

    id: str
    object: Literal["document.deleted"] = "document.deleted"
    deleted: Literal[True] = True


def as_answer(document: Document) -> DocumentAnswer:
    """Return a document as the wire has it."""
    return DocumentAnswer.model_validate(_fields(document))


def as_upload(upload: Upload) -> UploadAnswer:
    """Return an upload as the wire has it."""
    return UploadAnswer(job=upload.job_id, documents=[_accepted(file) for file in upload.files])


def _accepted(file: Accepted) -> UploadedDocument:
    return UploadedDocument.model_validate({**_fields(file.document), "outcome": file.outcome})


def _fields(document: Document) -> dict[str, Any]:
    error = document.error
    return {
        "id": document.id,
        "collection": document.collection_id,
        "name": document.name,
        "media_type": document.media_type,
        "bytes": document.size,
        "sha256": document.sha256,
        "state": document.state,
        "percent": document.percent,
        "searchable": document.searchable,
        "duplicate_of": document.duplicate_of,
        "pages": document.pages,
        "chunks": document.chunks,
        "attempts": document.attempts,
        "error": error and {"code": error.code, "message": error.message, "retryable": error.retryable},
        "metadata": dict(document.metadata),
        "job": document.job_id,
        "created_at": document.created_at,
        "updated_at": document.updated_at,
    }
