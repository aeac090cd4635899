"""Export, snapshot and restore: passages as JSON lines, or a collection as one file from which it is made again."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from shared.errors import InvalidRequest
from tools_api.invoke.deps import SECURITY
from tools_api.rag.collections.schemas import CollectionAnswer, as_answer
from tools_api.rag.collections.values import normal_name
from tools_api.rag.deps import CollectionPath, OwnerDep, PartsDep
from tools_api.rag.documents.body import pieces_of
from tools_api.rag.responses import errors
from tools_api.rag.rest.download import Download

router = APIRouter(prefix="/v1/rag", tags=["rag"], dependencies=SECURITY)

_LINES: dict[int | str, dict[str, Any]] = {
    200: {"description": "One passage a line, with its document", "content": {"application/x-ndjson": {}}}
}
_SNAPSHOT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
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


async def _body(request: Request) -> AsyncIterator[bytes]:
    return pieces_of(request)


@router.post("/restore", status_code=201, responses=errors(400, 408, 409, 413, 507), openapi_extra=_SNAPSHOT)
async def restore_collection(
    owner: OwnerDep,
    parts: PartsDep,
    body: Annotated[AsyncIterator[bytes], Depends(_body)],
    *,
    name: Annotated[str | None, Query(max_length=400, description="Its name, if not that of the snapshot")] = None,
) -> CollectionAnswer:
    """Make a new collection from a snapshot, which is sent as it is (`curl --data-binary @notes.snapshot.zip`).

    Its documents can be searched at once. Their originals are not in a snapshot, so they cannot be downloaded; to have
    them too, upload them again.
    """
    normal = None if name is None else normal_name(name)
    if name is not None and normal is None:
        raise InvalidRequest("name: a name has 1 to 100 visible characters and no slashes.", param="name")
    return as_answer(await parts.restoring.restore(owner, body, normal))
