"""Which calls of people reach the tools API, and what `/docs` says of each. What is not listed cannot be reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.tools_contract import JsonObject

Answer = Literal["object", "collection", "collections", "events", "file"]
"""`object` goes through as JSON; those of collections get names of accounts; `events` are server-sent; a `file` is
saved and never shown."""
Body = Literal["none", "json", "documents", "file"]

_PARAMETERS: Mapping[str, str] = {
    "limit": "How many to return at most",
    "after": "The `last_id` of the page before; with `around`, how many chunks after it",
    "collection": "Only those of this collection",
    "state": "Only those in this state: queued, running, finished, failed or cancelled for a job; queued, parsing, "
    "embedding, indexing, indexed, failed or cancelled for a document",
    "around": "The chunk (its ordinal in the document) in the middle",
    "before": "How many chunks before it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RagRoute:
    """One operation. `path` is below `/v1/rag`, `query` names what `/docs` lists, `example` is a body that works."""

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    name: str
    text: str
    answer: Answer = "object"
    status: int = 200
    body: Body = "none"
    query: tuple[str, ...] = ()
    example: JsonObject = field(default_factory=dict[str, Any])

    @property
    def description(self) -> JsonObject:
        """What OpenAPI cannot read off a handler that passes everything on."""
        placed = [_parameter(name, "path") for name in _names_in(self.path)]
        asked = [_parameter(name, "query", _PARAMETERS[name]) for name in self.query]
        found: JsonObject = {"parameters": [*placed, *asked]}
        if self.body != "none":
            found["requestBody"] = {"required": True, "content": _CONTENTS[self.body](self)}
        return found


def _parameter(name: str, where: str, text: str = "") -> JsonObject:
    schema = {"type": "integer"} if name in {"limit", "around", "before"} else {"type": "string"}
    about = {"description": text} if text else {}
    return {"name": name, "in": where, "required": where == "path", "schema": schema, **about}


def _names_in(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _json_content(route: RagRoute) -> JsonObject:
    return {"application/json": {"schema": {"type": "object"}, "example": route.example}}


def _documents_content(route: RagRoute) -> JsonObject:
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    metadata = {"type": "string", "description": "A JSON object that is kept with every file, for filters"}
    form = {"type": "object", "properties": {"file": files, "metadata": metadata}, "required": ["file"]}
    return {"multipart/form-data": {"schema": form}, **_json_content(route)}


def _file_content(_route: RagRoute) -> JsonObject:
    return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


_CONTENTS = {"json": _json_content, "documents": _documents_content, "file": _file_content}

_PAGE = ("limit", "after")
_DOCUMENT = "/collections/{collection}/documents/{document}"

ROUTES: tuple[RagRoute, ...] = (
    RagRoute(
        method="POST",
        path="/collections",
        name="create_collection",
        text="Make a collection of documents. It is yours alone until you share it.",
        answer="collection",
        status=201,
        body="json",
        example={"name": "handbook", "description": "How we work"},
    ),
    RagRoute(
        method="GET",
        path="/collections",
        name="list_collections",
        text="List your collections and those that are shared with you, the newest first. `owner` is a user name, "
        "`role` what you are to it: owner, writer or reader.",
        answer="collections",
        query=_PAGE,
    ),
    RagRoute(
        method="GET",
        path="/collections/{collection}",
        name="get_collection",
        text="Return one collection, by its id or its name.",
        answer="collection",
    ),
    RagRoute(
        method="PATCH",
        path="/collections/{collection}",
        name="change_collection",
        text="Change a collection's name, description or metadata; what is left out stays.",
        answer="collection",
        body="json",
        example={"description": "How we work now"},
    ),
    RagRoute(
        method="DELETE",
        path="/collections/{collection}",
        name="delete_collection",
        text="Delete a collection with all its documents, for good.",
    ),
    RagRoute(
        method="POST",
        path="/collections/{collection}/documents",
        name="add_documents",
        text="Upload documents: files (`file`, many times; ZIPs are unpacked), or one text as JSON. The answer comes "
        "when they are stored and names the job that reads them; `GET /v1/rag/jobs/{job}/events` shows it at work.",
        status=202,
        body="documents",
        example={"name": "hours.md", "text": "# Hours\nWe open at nine.", "metadata": {"year": 2026}},
    ),
    RagRoute(
        method="GET",
        path="/collections/{collection}/documents",
        name="list_documents",
        text="List a collection's documents with their states; a failed one says why.",
        query=("state", *_PAGE),
    ),
    RagRoute(method="GET", path=_DOCUMENT, name="get_document", text="Return one document with its state."),
    RagRoute(
        method="DELETE",
        path=_DOCUMENT,
        name="delete_document",
        text="Delete a document: its original, its text and its place in the index. No search finds it any more.",
    ),
    RagRoute(
        method="GET",
        path=f"{_DOCUMENT}/content",
        name="download_document",
        text="Download the original. It is always an attachment: nothing of it runs in this origin.",
        answer="file",
    ),
    RagRoute(
        method="GET",
        path=f"{_DOCUMENT}/chunks",
        name="read_document",
        text="Read the passages of a document around one of them (`around`), as a search shows where it is.",
        query=("around", "before", "after"),
    ),
    RagRoute(
        method="POST",
        path=f"{_DOCUMENT}/retry",
        name="retry_document",
        text="Read a failed document again.",
        status=202,
    ),
    RagRoute(
        method="POST",
        path=f"{_DOCUMENT}/cancel",
        name="cancel_document",
        text="Stop making a document searchable. An earlier version of it stays as it was.",
    ),
    RagRoute(
        method="POST",
        path="/collections/{collection}/reindex",
        name="reindex_collection",
        text="Make a collection's vectors anew with today's embedding model. The old ones serve until it is done.",
        status=202,
    ),
    RagRoute(
        method="GET",
        path="/collections/{collection}/export",
        name="export_collection",
        text="Download every passage of a collection as JSON lines.",
        answer="file",
    ),
    RagRoute(
        method="GET",
        path="/collections/{collection}/snapshot",
        name="snapshot_collection",
        text="Download a collection as one file, to be restored here or elsewhere with `POST /v1/rag/restore`.",
        answer="file",
    ),
    RagRoute(
        method="POST",
        path="/restore",
        name="restore_collection",
        text="Make a collection from a snapshot. Give it another name with `?name=`.",
        answer="collection",
        status=201,
        body="file",
    ),
    RagRoute(
        method="GET",
        path="/jobs",
        name="list_jobs",
        text="List the jobs of the collections that you reach, the newest first.",
        query=("collection", "state", *_PAGE),
    ),
    RagRoute(method="GET", path="/jobs/{job}", name="get_job", text="Return one job: how far it is, and what failed."),
    RagRoute(
        method="GET",
        path="/jobs/{job}/events",
        name="watch_job",
        text="Watch a job as server-sent events: how it stands, then every change, until it ends.",
        answer="events",
    ),
    RagRoute(
        method="POST", path="/jobs/{job}/cancel", name="cancel_job", text="Stop a job; what it has finished stays."
    ),
    RagRoute(
        method="POST",
        path="/jobs/{job}/retry",
        name="retry_job",
        text="Do what failed in a job, or was cancelled, again.",
        status=202,
    ),
    RagRoute(
        method="POST",
        path="/search",
        name="search_documents",
        text="Search your collections and those shared with you by meaning and by words. Every hit says where it is "
        "from: document, page, headings and offsets, with a `citation` to show. While the encoder starts, words alone "
        "are searched and the answer says so (`warming_up`).",
        body="json",
        example={"query": "How do people log in?", "collections": ["handbook"], "top_k": 5},
    ),
    RagRoute(
        method="POST",
        path="/grep",
        name="grep_documents",
        text="Find an exact text or a regular expression in your collections and those shared with you.",
        body="json",
        example={"pattern": "TLS 1.3", "ignore_case": True, "collections": ["handbook"]},
    ),
    RagRoute(method="GET", path="/status", name="rag_status", text="Say how the encoder and the queue stand."),
)
