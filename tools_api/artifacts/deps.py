"""What handlers ask for: the store."""

from typing import Annotated

from fastapi import Depends, Request

from tools_api.artifacts.store import ArtifactStore


async def _artifacts(request: Request) -> ArtifactStore:
    return request.state.artifacts


ArtifactStoreDep = Annotated[ArtifactStore, Depends(_artifacts)]
