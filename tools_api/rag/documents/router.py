"""`/v1/rag/collections/{collection}/documents`: upload, list, look at, download, try again, cancel and remove."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import StreamingResponse

from tools_api.artifacts.names import attachment, safe_media_type
from tools_api.invoke.deps import SECURITY
from tools_api.rag.deps import CollectionPath, OwnerDep, PartsDep
from tools_api.rag.documents.body import RequestBody
from tools_api.rag.documents.schemas import (
    DocumentAnswer,
    DocumentDeleted,
    DocumentList,
    TextDocument,
    UploadAnswer,
    as_answer,
    as_upload,
)
from tools_api.rag.documents.values import DocumentState
from tools_api.rag.responses import errors

router = APIRouter(prefix="/v1/rag/collections/{collection}/documents", tags=["rag"], dependencies=SECURITY)

MAX_PAGE = 200

_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "metadata": {"type": "string", "description": "A JSON object that all of these documents get"},
    },
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "application/json": {"schema": TextDocument.model_json_schema()},
        },
    }
}

DocumentPath = Annotated[str, Path(description="The document's id", max_length=64)]


async def _body(request: Request) -> RequestBody:
    return RequestBody(request)


@router.post("", status_code=202, responses=errors(400, 403, 404, 408, 409, 413, 507), openapi_extra=_BODY)
async def upload_documents(
    collection: CollectionPath, owner: OwnerDep, parts: PartsDep, body: Annotated[RequestBody, Depends(_body)]
) -> UploadAnswer:
    """Upload files, each in a field `file`, or one text as JSON. They are made searchable in the background.

    File names may have folders in them (`handbook/security.md`). A ZIP is unpacked; its files are named after their
    places in it. A name is unique in a collection: the same name with new content is a new version, which takes the
    place of the old one when it is ready. The same content is indexed once.
    """
    return as_upload(await parts.documents.upload(owner, collection, body))


@router.get("", responses=errors(400, 404, 409))
async def list_documents(
    collection: CollectionPath,
    owner: OwnerDep,
    parts: PartsDep,
    *,
    state: Annotated[DocumentState | None, Query(description="Only documents in this state")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    after: Annotated[str | None, Query(max_length=64, description="The `last_id` of the page before")] = None,
) -> DocumentList:
    """List a collection's documents and how far they are, the newest first."""
    documents, has_more = await parts.documents.page(owner, collection, limit=limit, after=after, state=state)
    data = [as_answer(document) for document in documents]
    return DocumentList(data=data, has_more=has_more, last_id=data[-1].id if data else None)


@router.get("/{document}", responses=errors(400, 404, 409))
async def get_document(
    collection: CollectionPath, document: DocumentPath, owner: OwnerDep, parts: PartsDep
) -> DocumentAnswer:
    """Describe one document: how far it is, or why it failed."""
    return as_answer(await parts.documents.get(owner, collection, document))


@router.delete("/{document}", responses=errors(400, 403, 404, 409, 507))
async def delete_document(
    collection: CollectionPath, document: DocumentPath, owner: OwnerDep, parts: PartsDep
) -> DocumentDeleted:
    """Remove a document: at once no search finds it, and its text and its original are deleted from the disk."""
    await parts.documents.delete(owner, collection, document)
    return DocumentDeleted(id=document)


@router.get(
    "/{document}/content",
    response_class=StreamingResponse,
    responses={200: {"description": "The file", "content": {"application/octet-stream": {}}}, **errors(400, 404, 409)},
)
async def download_document(
    collection: CollectionPath, document: DocumentPath, owner: OwnerDep, parts: PartsDep
) -> StreamingResponse:
    """Download the original as it was uploaded; `Range` is ignored, as RFC 9110 (14.2) lets a server do."""
    content = await parts.documents.content(owner, collection, document)
    headers = {
        "Content-Length": str(content.size),
        "Content-Disposition": attachment(content.name.rpartition("/")[2]),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
        "Accept-Ranges": "none",
    }
    return StreamingResponse(content.chunks, media_type=safe_media_type(content.media_type), headers=headers)


@router.post("/{document}/retry", status_code=202, responses=errors(400, 403, 404, 409, 507))
async def retry_document(
    collection: CollectionPath, document: DocumentPath, owner: OwnerDep, parts: PartsDep
) -> DocumentAnswer:
    """Try a document again that failed or was cancelled."""
    return as_answer(await parts.documents.retry(owner, collection, document))


@router.post("/{document}/cancel", responses=errors(400, 403, 404, 409, 507))
async def cancel_document(
    collection: CollectionPath, document: DocumentPath, owner: OwnerDep, parts: PartsDep
) -> DocumentAnswer:
    """Stop making a document searchable. An earlier version of it stays as it was."""
    return as_answer(await parts.documents.cancel(owner, collection, document))
