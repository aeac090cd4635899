"""Questions and findings on the wire. Requests refuse unknown fields."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tools_api.rag.values import MAX_QUERY, MAX_TOP_K

if TYPE_CHECKING:
    from tools_api.rag.search.exact_values import ExactQuery
    from tools_api.rag.search.values import SearchQuery
    from tools_api.rag.values import DocumentRecord, StoredChunk

_MAX_PATTERN = 1000
_MAX_COLLECTIONS = 100
_MAX_REFERENCE = 400


def _checked_query(query: str) -> str:
    if not query.strip():
        raise ValueError("say what to look for")
    return query


Collections = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=_MAX_REFERENCE)]],
    Field(min_length=1, max_length=_MAX_COLLECTIONS, description="Ids or names; without them all that the person has"),
]
Filter = Annotated[
    dict[str, Any],
    Field(
        description="Conditions on documents: their metadata, `name`, `media_type`, `document_id`, `created_at`. Of "
        "documents with the same content and metadata one is searched for all: the one that `duplicate_of` names",
        examples=[{"year": {"$gte": 2025}, "$not": {"team": "sales"}}],
    ),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class SearchRequest(_Request):
    """A question in words. `hybrid` asks the vectors and the words and fuses both, `dense` and `words` one of them."""

    query: Annotated[str, AfterValidator(_checked_query), Field(max_length=MAX_QUERY, examples=["user authentication"])]
    collections: Collections | None = None
    mode: Literal["hybrid", "dense", "words"] = "hybrid"
    top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] = 10
    filter: Filter | None = None
    rerank: Annotated[bool, Field(description="Let a cross-encoder order what was found (RAG_RERANK_MODEL)")] = False

    def as_query(self) -> "SearchQuery":
        """Return it as the search takes it."""
        from tools_api.rag.search.values import SearchQuery

        return SearchQuery(text=self.query, mode=self.mode, top_k=self.top_k, where=self.filter, rerank=self.rerank)


class GrepRequest(_Request):
    """Exact text, or a regular expression in RE2's syntax if `regex` is true."""

    pattern: Annotated[str, Field(min_length=1, max_length=_MAX_PATTERN, examples=["ERR-4711"])]
    regex: bool = False
    ignore_case: bool = False
    collections: Collections | None = None
    filter: Filter | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Annotated[str, Field(max_length=1000, description="That of the answer before, to go on")] | None = None

    def as_query(self) -> "ExactQuery":
        """Return it as exact search takes it."""
        from tools_api.rag.search.exact_values import ExactQuery

        return ExactQuery(
            pattern=self.pattern,
            regex=self.regex,
            ignore_case=self.ignore_case,
            where=self.filter,
            limit=self.limit,
            cursor=self.cursor,
        )


class DocumentRef(_Answer):
    """The document that a passage is from. `metadata` is its owner's together with what the file says of itself."""

    id: str
    name: str
    title: str | None
    media_type: str
    metadata: dict[str, Any]


class CollectionRef(_Answer):
    """The collection that a document is in."""

    id: str
    name: str


class Ranks(_Answer):
    """The place of a hit among what each half of the search found, from 1; null where a half did not find it."""

    dense: int | None
    words: int | None


class SearchHit(_Answer):
    """A passage, from `start` to `end` (characters) of its document's text. `ordinals` are those of the neighbouring
    chunks that it was joined from; `…/documents/{document}/chunks?around=` reads on there.

    `score` is 0 to 1: in `dense` the cosine, in `words` the share of the question's weight that its words have,
    in `hybrid` both weighed by how they rank it, and the cross-encoder's judgement if it was asked. `similarity` is the
    cosine, `bm25` what BM25 gave. `also` names other places with the same text.
    """

    object: Literal["rag.hit"] = "rag.hit"
    citation: str
    score: float
    text: str
    collection: CollectionRef
    document: DocumentRef
    page: int | None
    page_end: int | None
    headings: list[str]
    start: int
    end: int
    ordinals: list[int]
    similarity: float | None
    bm25: float | None
    rerank_score: float | None
    ranks: Ranks
    also: list[str]


class SearchAnswer(_Answer):
    """Hits, the best first. `mode` is how the search was done: `words` where a hybrid one had no vectors yet. `notes`
    say in sentences what to know of it; `needs_reindex` names collections that were searched by words alone, because
    their vectors are of another embedding model."""

    object: Literal["rag.search"] = "rag.search"
    data: list[SearchHit]
    mode: Literal["hybrid", "dense", "words"]
    warming_up: bool
    needs_reindex: list[str]
    notes: list[str]


class GrepMatch(_Answer):
    """A place. `start` and `end` count characters of the document's text; `line` holds every line that it touches,
    `before` and `after` those around it; pages are null where a format has none. `citation` names it to a reader."""

    collection: CollectionRef
    document: DocumentRef
    text: str
    start: int
    end: int
    page: int | None
    page_end: int | None
    line: str
    before: list[str]
    after: list[str]
    citation: str


class GrepAnswer(_Answer):
    """The matches in the order of collections, documents and places.

    `partial` says why there may be more (`limit` or `time`); `cursor` then goes on. `documents` and `characters` were
    looked at in this call.
    """

    object: Literal["rag.grep"] = "rag.grep"
    data: list[GrepMatch]
    partial: Literal["limit", "time"] | None
    cursor: str | None
    documents: int
    characters: int


class ChunkAnswer(_Answer):
    """A passage: `text` is what stands from `start` to `end` (characters) in the document's text."""

    id: int
    object: Literal["rag.chunk"] = "rag.chunk"
    ordinal: int
    text: str
    start: int
    end: int
    page: int | None
    page_end: int | None
    headings: list[str]


class ChunkList(_Answer):
    """Passages of one document in their order, out of `total` that it has."""

    object: Literal["list"] = "list"
    collection: CollectionRef
    document: DocumentRef
    data: list[ChunkAnswer]
    total: int
    has_more: bool
    last_id: int | None


def document_ref(document: "DocumentRecord") -> DocumentRef:
    """Return a document as hits name it."""
    return DocumentRef(
        id=document.id,
        name=document.name,
        title=document.title,
        media_type=document.media_type,
        metadata=dict(document.metadata),
    )


def chunk_answer(stored: "StoredChunk") -> ChunkAnswer:
    """Return a passage as the wire has it."""
    chunk = stored.chunk
    return ChunkAnswer(
        id=stored.chunk_id,
        ordinal=chunk.ordinal,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        page=chunk.page,
        page_end=chunk.page_end,
        headings=list(chunk.headings),
    )
