"""Jobs on the wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tools_api.rag.ingestion.values import Job, JobKind, JobState


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class JobDocuments(_Answer):
    """A job's documents by state. Those that were removed since, or that a later upload replaced, are in `gone`."""

    queued: int = 0
    parsing: int = 0
    embedding: int = 0
    indexing: int = 0
    indexed: int = 0
    failed: int = 0
    cancelled: int = 0
    gone: int = 0


class JobError(_Answer):
    """Why a job failed as a whole."""

    code: str
    message: str
    retryable: bool


class JobAnswer(_Answer):
    """Work on documents. A job that is `finished` has worked on all of them; `documents` says which of them failed.

    `total` counts its documents, `unchanged` files of the upload that were there already. `note` says what it waits
    for, if something is in the way of all work.
    """

    id: str
    object: Literal["job"] = "job"
    collection: str
    kind: JobKind
    state: JobState
    percent: int
    total: int
    unchanged: int
    documents: JobDocuments
    error: JobError | None
    note: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobList(_Answer):
    """A page of jobs, the newest first; give `last_id` as `after` to get the next one."""

    object: Literal["list"] = "list"
    data: list[JobAnswer]
    has_more: bool
    last_id: str | None


def as_answer(job: Job) -> JobAnswer:
    """Return a job as the wire has it."""
    counts: dict[str, Any] = {**job.documents}
    gone = max(0, job.total - sum(job.documents.values())) if job.kind == "ingest" else 0
    error = job.error
    return JobAnswer(
        id=job.id,
        collection=job.collection_id,
        kind=job.kind,
        state=job.state,
        percent=job.percent,
        total=job.total,
        unchanged=job.unchanged,
        documents=JobDocuments(**counts, gone=gone),
        error=JobError(code=error.code, message=error.message, retryable=error.retryable) if error else None,
        note=job.note,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )
