"""`GET /v1/artifacts/{id}`: download a file that a tool made, as bytes to save and never as a page to run."""

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from tools_api.artifacts.deps import ArtifactStoreDep
from tools_api.artifacts.names import attachment
from tools_api.invoke.deps import SECURITY, CallerDep

router = APIRouter(prefix="/v1/artifacts", tags=["artifacts"], dependencies=SECURITY)


@router.get(
    "/{artifact_id}",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The file", "content": {"application/octet-stream": {}}},
        401: {"description": "No service key, or one that is not known"},
        404: {"description": "There is no such artifact, or it belongs to another service"},
    },
)
async def download_artifact(artifact_id: str, caller: CallerDep, store: ArtifactStoreDep) -> StreamingResponse:
    """Download an artifact whole; `Range` is ignored, as RFC 9110 (14.2) lets a server do."""
    artifact = await store.find(caller, artifact_id)
    headers = {
        "Content-Length": str(artifact.size),
        "Content-Disposition": attachment(artifact.name),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
        "Accept-Ranges": "none",
    }
    return StreamingResponse(store.chunks(artifact), media_type=artifact.media_type, headers=headers)
