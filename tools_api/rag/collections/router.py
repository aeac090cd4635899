"""`/v1/rag/collections`: make, list, change and remove collections, and share them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from tools_api.invoke.deps import SECURITY
from tools_api.rag.body import body_of, described
from tools_api.rag.collections.schemas import (
    ChangeCollection,
    CollectionAnswer,
    CollectionDeleted,
    CollectionList,
    CreateCollection,
    GiveGrant,
    GrantAnswer,
    GrantList,
    GrantRevoked,
    as_answer,
)
from tools_api.rag.collections.values import Grant
from tools_api.rag.deps import CollectionPath, OwnerDep, PartsDep
from tools_api.rag.responses import errors

router = APIRouter(prefix="/v1/rag/collections", tags=["rag"], dependencies=SECURITY)

MAX_PAGE = 100


@router.post("", status_code=201, responses=errors(400, 409, 413, 507), openapi_extra=described(CreateCollection))
async def create_collection(
    owner: OwnerDep, parts: PartsDep, wanted: Annotated[CreateCollection, Depends(body_of(CreateCollection))]
) -> CollectionAnswer:
    """Make a collection. Documents, passages and the index belong to it, and go with it.

    It belongs to the person of `X-Acting-For`, or to the service itself; nobody else sees it until it is shared.
    """
    made = await parts.collections.create(
        owner,
        wanted.name,
        description=wanted.description,
        index_type=wanted.index_type,
        chunk_tokens=wanted.chunk_tokens,
        metadata=wanted.metadata,
    )
    return as_answer(made)


@router.get("", responses=errors(400))
async def list_collections(
    owner: OwnerDep,
    parts: PartsDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
    after: Annotated[str | None, Query(max_length=64, description="The `last_id` of the page before")] = None,
) -> CollectionList:
    """List the person's own collections and those that are shared with them, the newest first."""
    views, has_more = await parts.collections.page(owner, limit=limit, after=after)
    data = [as_answer(view) for view in views]
    return CollectionList(data=data, has_more=has_more, last_id=data[-1].id if data else None)


@router.get("/{collection}", responses=errors(400, 404, 409))
async def get_collection(collection: CollectionPath, owner: OwnerDep, parts: PartsDep) -> CollectionAnswer:
    """Describe one collection: what is in it, how it is set, what the caller may do with it."""
    return as_answer(await parts.collections.get(owner, collection))


@router.patch(
    "/{collection}", responses=errors(400, 403, 404, 409, 413, 507), openapi_extra=described(ChangeCollection)
)
async def change_collection(
    collection: CollectionPath,
    owner: OwnerDep,
    parts: PartsDep,
    wanted: Annotated[ChangeCollection, Depends(body_of(ChangeCollection))],
) -> CollectionAnswer:
    """Rename or describe a collection, or set what counts for documents to come. Only its owner may."""
    changes = {name: value for name, value in wanted.model_dump(exclude_unset=True).items() if value is not None}
    return as_answer(await parts.collections.change(owner, collection, changes))


@router.delete("/{collection}", responses=errors(400, 403, 404, 409, 507))
async def delete_collection(collection: CollectionPath, owner: OwnerDep, parts: PartsDep) -> CollectionDeleted:
    """Remove a collection with its documents, passages, index and files. Only its owner may.

    At once nobody finds anything in it any more; the answer comes when its files are gone.
    """
    return CollectionDeleted(id=await parts.collections.delete(owner, collection))


@router.get("/{collection}/grants", responses=errors(400, 403, 404, 409))
async def list_grants(collection: CollectionPath, owner: OwnerDep, parts: PartsDep) -> GrantList:
    """List with whom a collection is shared. Only its owner may."""
    grants = await parts.collections.grants(owner, collection)
    data = [GrantAnswer(person=grant.person, role=grant.role) for grant in grants]
    return GrantList(data=data, last_id=data[-1].person if data else None)


@router.post(
    "/{collection}/grants",
    status_code=201,
    responses=errors(400, 403, 404, 409, 413, 507),
    openapi_extra=described(GiveGrant),
)
async def share_collection(
    collection: CollectionPath,
    owner: OwnerDep,
    parts: PartsDep,
    wanted: Annotated[GiveGrant, Depends(body_of(GiveGrant))],
) -> GrantAnswer:
    """Share a collection with a person of the same service, or with all of them (`*`). Only its owner may.

    A second grant to the same person takes the place of the first.
    """
    grant = await parts.collections.share(owner, collection, Grant(wanted.person, wanted.role))
    return GrantAnswer(person=grant.person, role=grant.role)


@router.delete("/{collection}/grants/{person}", responses=errors(400, 403, 404, 409, 507))
async def unshare_collection(collection: CollectionPath, person: str, owner: OwnerDep, parts: PartsDep) -> GrantRevoked:
    """Take a grant back (`*` for the one to everybody). From the next call on they do not find the collection."""
    await parts.collections.unshare(owner, collection, person)
    return GrantRevoked(person=person)
