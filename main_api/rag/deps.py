"""What handlers of documents ask for; reads `request.state.rag`."""

from typing import Annotated, cast

from fastapi import Depends, Request

from main_api.auth.deps import require_scope
from main_api.auth.principal import Principal
from main_api.rag.service import RagService


async def _rag(request: Request) -> RagService:
    return cast("RagService", request.state.rag)


Rag = Annotated[RagService, Depends(_rag)]
ToolsPrincipal = Annotated[Principal, Depends(require_scope("tools"))]
"""A person, or a program whose key has the scope `tools`; never the service key."""
