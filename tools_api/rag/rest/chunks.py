"""`GET /v1/rag/collections/{collection}/documents/{document}/chunks`: what stands around a passage."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from tools_api.invoke.deps import SECURITY
from tools_api.rag.deps import CollectionPath, OwnerDep, PartsDep
from tools_api.rag.responses import errors
from tools_api.rag.rest.schemas import ChunkList, CollectionRef, chunk_answer, document_ref

MOST_AROUND = 100
_DOCUMENT = (
    "The document's id, or its name; of a name with folders in it the last part, if it is the only one with that"
)

router = APIRouter(prefix="/v1/rag/collections", tags=["rag"], dependencies=SECURITY)


@router.get("/{collection}/documents/{document}/chunks", responses=errors(400, 404, 409))
async def read_document(
    collection: CollectionPath,
    document: Annotated[str, Path(description=_DOCUMENT, max_length=1000)],
    owner: OwnerDep,
    parts: PartsDep,
    *,
    around: Annotated[int, Query(ge=0, le=2**40, description="A passage's ordinal, which hits have; from 0")] = 0,
    before: Annotated[int, Query(ge=0, le=MOST_AROUND, description="How many passages before it")] = 2,
    after: Annotated[int, Query(ge=0, le=MOST_AROUND, description="How many passages after it")] = 2,
) -> ChunkList:
    """Read the passages of a document around one of them, in their order; without `around` from its beginning."""
    read = await parts.reading.neighbourhood(owner, collection, document, around=around, before=before, after=after)
    data = [chunk_answer(passage) for passage in read.passages]
    return ChunkList(
        collection=CollectionRef(id=read.collection.id, name=read.collection.name),
        document=document_ref(read.document),
        data=data,
        total=read.chunks,
        has_more=bool(data) and data[-1].ordinal + 1 < read.chunks,
        last_id=data[-1].id if data else None,
    )
