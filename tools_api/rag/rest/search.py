"""`POST /v1/rag/search` and `/v1/rag/grep`: passages that answer a question, and places where exact text stands."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends

from tools_api.invoke.deps import SECURITY
from tools_api.rag.body import body_of, described
from tools_api.rag.deps import OwnerDep, PartsDep
from tools_api.rag.responses import errors
from tools_api.rag.rest.schemas import (
    CollectionRef,
    GrepAnswer,
    GrepMatch,
    GrepRequest,
    Ranks,
    SearchAnswer,
    SearchHit,
    SearchRequest,
    document_ref,
)

if TYPE_CHECKING:
    from tools_api.rag.search.exact_values import ExactMatch
    from tools_api.rag.search.values import Hit

router = APIRouter(prefix="/v1/rag", tags=["rag"], dependencies=SECURITY)


@router.post("/search", responses=errors(400, 404, 409, 413, 504), openapi_extra=described(SearchRequest))
async def search_documents(
    owner: OwnerDep, parts: PartsDep, wanted: Annotated[SearchRequest, Depends(body_of(SearchRequest))]
) -> SearchAnswer:
    """Search the documents that the person reaches, by meaning and by words, the best passage first.

    Every hit says where it stands: collection, document, page, headings, and `start` and `end` in the document's text,
    with a `citation` to show. `score` is between 0 and 1. While the embedding model is being loaded, words alone are
    searched and the answer says so (`warming_up`, `notes`); `mode: dense` then waits a little, and answers 503 with
    `Retry-After` if that was not enough. A `filter` is a condition on documents such as `{"year": {"$gte": 2025}}`,
    with `$eq`, `$ne`, `$in`, `$nin`, `$gt`, `$gte`, `$lt`, `$lte`, `$exists`, `$and`, `$or` and `$not`.
    """
    found = await parts.questions.search(owner, wanted.collections, wanted.as_query())
    return SearchAnswer(
        data=[_hit(hit) for hit in found.hits],
        mode=found.mode,
        warming_up=found.warming_up,
        needs_reindex=list(found.needs_reindex),
        notes=list(found.notes),
    )


@router.post("/grep", responses=errors(400, 404, 409, 413), openapi_extra=described(GrepRequest))
async def grep_documents(
    owner: OwnerDep, parts: PartsDep, wanted: Annotated[GrepRequest, Depends(body_of(GrepRequest))]
) -> GrepAnswer:
    """Find a text, or a regular expression (RE2's syntax), in the documents that the person reaches.

    Matches across the borders of passages are found too. One call looks for some seconds at most: if `partial` is not
    null there may be more, and the same call with the answer's `cursor` goes on.
    """
    found = await parts.questions.grep(owner, wanted.collections, wanted.as_query())
    return GrepAnswer(
        data=[_match(match, found.names[match.collection]) for match in found.answer.matches],
        partial=found.answer.partial,
        cursor=found.answer.cursor,
        documents=found.answer.documents,
        characters=found.answer.characters,
    )


def _hit(hit: "Hit") -> SearchHit:
    return SearchHit(
        collection=CollectionRef(id=hit.collection, name=hit.collection_name),
        document=document_ref(hit.document),
        text=hit.text,
        start=hit.start,
        end=hit.end,
        page=hit.page,
        page_end=hit.page_end,
        headings=list(hit.headings),
        ordinals=list(hit.chunks),
        citation=hit.citation,
        also=list(hit.also),
        score=hit.score,
        similarity=hit.similarity,
        bm25=hit.bm25,
        rerank_score=hit.rerank_score,
        ranks=Ranks(dense=hit.dense_rank, words=hit.words_rank),
    )


def _match(match: "ExactMatch", name: str) -> GrepMatch:
    return GrepMatch(
        collection=CollectionRef(id=match.collection, name=name),
        document=document_ref(match.document),
        text=match.text,
        start=match.start,
        end=match.end,
        page=match.page,
        page_end=match.page_end,
        line=match.line,
        before=list(match.before),
        after=list(match.after),
        citation=match.citation,
    )
