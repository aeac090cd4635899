"""`GET /v1/artifacts/{id}`: download what a tool made in one of the caller's runs."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Path
from fastapi.requests import HTTPConnection
from starlette.responses import StreamingResponse

from main_api.auth.deps import require_scope
from main_api.auth.principal import Principal
from main_api.toolbox.artifacts import Artifacts
from main_api.toolbox.client import ArtifactDownload
from main_api.toolbox.download_headers import download_headers

router = APIRouter(tags=["artifacts"])


async def _artifacts(connection: HTTPConnection) -> Artifacts:
    return cast("Artifacts", connection.state.artifacts)


@router.get("/v1/artifacts/{artifact_id}", response_class=StreamingResponse)
async def download_artifact(
    artifact_id: Annotated[str, Path(max_length=64)],
    principal: Annotated[Principal, Depends(require_scope("tools"))],
    artifacts: Annotated[Artifacts, Depends(_artifacts)],
) -> StreamingResponse:
    """Download a file that a tool made. It is always an attachment: nothing of it runs in this origin."""
    async with AsyncExitStack() as stack:
        download = await stack.enter_async_context(artifacts.open(principal.user_id, artifact_id))
        body = _body(download, stack.pop_all())
    headers = download_headers(
        media_type=download.media_type, offered_disposition=download.content_disposition, size=download.size
    )
    return StreamingResponse(body, headers=headers)


async def _body(download: ArtifactDownload, stack: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    async with stack:
        async for chunk in download.chunks:
            yield chunk
