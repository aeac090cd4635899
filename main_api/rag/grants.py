"""With whom a collection is shared, by user name: the paths that are not merely passed on."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from main_api.rag.call import PREFIX
from main_api.rag.deps import Rag, ToolsPrincipal
from shared.tools_contract import JsonObject

router = APIRouter(prefix=f"{PREFIX}/collections/{{collection}}/grants", tags=["documents"])


class GrantRequest(BaseModel):
    """Whom to share with: a user name, or `*` for everyone who has an account here."""

    model_config = ConfigDict(extra="forbid")

    user: Annotated[str, Field(min_length=1, max_length=64, examples=["anna"])]
    role: Literal["reader", "writer"] = "reader"


@router.get("")
async def list_grants(collection: str, principal: ToolsPrincipal, rag: Rag) -> JsonObject:
    """List with whom a collection of yours is shared."""
    return await rag.grants(principal, collection)


@router.post("", status_code=201)
async def share_collection(collection: str, body: GrantRequest, principal: ToolsPrincipal, rag: Rag) -> JsonObject:
    """Share a collection with somebody by user name, or with everyone (`*`). A `writer` may change its documents."""
    return await rag.share(principal, collection, user=body.user, role=body.role)


@router.delete("/{user}")
async def unshare_collection(collection: str, user: str, principal: ToolsPrincipal, rag: Rag) -> JsonObject:
    """Stop sharing a collection with somebody; it counts from now on."""
    return await rag.unshare(principal, collection, user=user)
