"""`/v1/rag/jobs`: follow, cancel and retry work on documents."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response

from shared.sse import EventStreamResponse
from tools_api.invoke.deps import SECURITY
from tools_api.rag.deps import CollectionPath, OwnerDep, PartsDep
from tools_api.rag.ingestion.events import error_frame, news_frames
from tools_api.rag.ingestion.schemas import JobAnswer, JobList, as_answer
from tools_api.rag.ingestion.values import JobState
from tools_api.rag.responses import errors

router = APIRouter(prefix="/v1/rag/jobs", tags=["rag"], dependencies=SECURITY)

MAX_PAGE = 100

collection_router = APIRouter(prefix="/v1/rag/collections/{collection}", tags=["rag"], dependencies=SECURITY)

JobPath = Annotated[str, Path(description="The job's id", max_length=64)]


@router.get("", responses=errors(400, 404, 409))
async def list_jobs(
    owner: OwnerDep,
    parts: PartsDep,
    *,
    collection: Annotated[str | None, Query(max_length=400, description="Only jobs of this collection")] = None,
    state: Annotated[JobState | None, Query(description="Only jobs in this state")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
    after: Annotated[str | None, Query(max_length=64, description="The `last_id` of the page before")] = None,
) -> JobList:
    """List the jobs of the collections that the person reaches, the newest first."""
    jobs, has_more = await parts.jobs.page(owner, collection=collection, limit=limit, after=after, state=state)
    data = [as_answer(job) for job in jobs]
    return JobList(data=data, has_more=has_more, last_id=data[-1].id if data else None)


@router.get("/{job}", responses=errors(400, 404))
async def get_job(job: JobPath, owner: OwnerDep, parts: PartsDep) -> JobAnswer:
    """Describe a job: how far it is, and its documents by state."""
    return as_answer(await parts.jobs.get(owner, job))


@router.get(
    "/{job}/events",
    response_class=Response,
    responses={
        200: {
            "description": "Events `job` and `document` until the job has ended",
            "content": {"text/event-stream": {}},
        },
        **errors(400, 404),
    },
)
async def job_events(
    job: JobPath, owner: OwnerDep, parts: PartsDep, last_event_id: Annotated[str | None, Header()] = None
) -> EventStreamResponse:
    """Follow a job by server-sent events, until it has ended.

    An event `job` has the job as it stands, and comes first; an event `document` has a document that changed.
    """
    frames = news_frames(parts.jobs.news(owner, job), last_event_id)
    return EventStreamResponse(frames, headers=dict, render_failure=error_frame)


@router.post("/{job}/cancel", responses=errors(400, 403, 404, 409, 507))
async def cancel_job(job: JobPath, owner: OwnerDep, parts: PartsDep) -> JobAnswer:
    """Stop a job within a moment. What it has indexed stays; the other documents are `cancelled`."""
    return as_answer(await parts.jobs.cancel(owner, job))


@router.post("/{job}/retry", status_code=202, responses=errors(400, 403, 404, 409, 507))
async def retry_job(job: JobPath, owner: OwnerDep, parts: PartsDep) -> JobAnswer:
    """Try those documents of a job again that failed or were cancelled."""
    return as_answer(await parts.jobs.retry(owner, job))


@collection_router.post("/reindex", status_code=202, responses=errors(400, 403, 404, 409, 507))
async def reindex_collection(collection: CollectionPath, owner: OwnerDep, parts: PartsDep) -> JobAnswer:
    """Index a collection anew, while searches go on in what it has.

    If its vectors are of another embedding model than today's, its passages get new ones; otherwise its originals are
    read again, by today's rules for passages (`chunk_tokens`).
    """
    return as_answer(await parts.jobs.reindex(owner, collection))
