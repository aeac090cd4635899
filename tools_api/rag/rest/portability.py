"""Export, snapshot and restore: passages as JSON lines, or a collection as one file from which it is made again."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from tools_api.invoke.deps import SECURITY
from tools_api.rag.deps import CollectionPath, OwnerDep, PartsDep
from tools_api.rag.responses import errors
from tools_api.rag.rest.download import Download

router = APIRouter(prefix="/v1/rag", tags=["rag"], dependencies=SECURITY)

_LINES: dict[int | str, dict[str, Any]] = {
    200: {"description": "One passage a line, with its document", "content": {"application/x-ndjson": {}}}
}
_FILE: dict[int | str, dict[str, Any]] = {200: {"description": "The file", "content": {"application/zip": {}}}}


@router.get(
    "/collections/{collection}/export", response_class=StreamingResponse, responses={**_LINES, **errors(400, 404, 409)}
)
async def export_collection(
    collection: CollectionPath,
    owner: OwnerDep,
    parts: PartsDep,
    *,
    vectors: Annotated[bool, Query(description="With the vector of each passage")] = False,
) -> Download:
    """Download every passage of a collection as JSON lines, each with its document.

    They are read while they are sent, at the pace of who reads them, so what is added or removed meanwhile may or may
    not be among them; a snapshot is of one moment.
    """
    outgoing = await parts.portability.export(owner, collection, vectors=vectors)
    return Download(outgoing.pieces, name=outgoing.name, media_type="application/x-ndjson")


@router.get(
    "/collections/{collection}/snapshot",
    response_class=StreamingResponse,
    responses={**_FILE, **errors(400, 404, 409, 507)},
)
async def snapshot_collection(collection: CollectionPath, owner: OwnerDep, parts: PartsDep) -> Download:
    """Download one moment of a collection as one file, from which `POST /v1/rag/restore` makes it again.

    It is a ZIP archive of JSON lines and raw vectors. The originals of the documents are not in it.
    """
    outgoing = await parts.portability.snapshot(owner, collection)
    return Download(outgoing.pieces, name=outgoing.name, media_type="application/zip", size=outgoing.size)
