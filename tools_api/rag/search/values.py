"""What a search is asked and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tools_api.rag.values import DocumentRecord, Filter

Mode = Literal["hybrid", "dense", "words"]
MAX_RERANKED = 50
"""How many passages the cross-encoder reads for a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """A collection to search in, which the caller may read. `fingerprint` is its embedding model's, if it has one."""

    id: str
    name: str
    fingerprint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """A question in plain words; `where` restricts documents, `rerank` asks the cross-encoder for the order."""

    text: str
    mode: Mode = "hybrid"
    top_k: int = 10
    where: Filter | None = None
    rerank: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage that answers, from `start` to `end` of its document's text.

    `score` is 0 to 1 and orders the hits; what it says is the mode's:

    * `dense`: the cosine between the question's vector and the passage's, 0 if negative.
    * `words`: the share of the weight of the question's words that the passage has by BM25; 1 if it had nothing else.
    * `hybrid`: what both halves say and how they rank it, weighed as `fusion.py` tells.
    * reranked: how well it answers in the judgement of the cross-encoder.

    `similarity` and `bm25` are what the halves found, None where a half did not find it; ranks count from 1. `chunks`
    are the ordinals in the document of the neighbouring chunks that were joined. `also` names other places with the
    same text.
    """

    collection: str
    collection_name: str
    document: DocumentRecord
    text: str
    start: int
    end: int
    page: int | None
    page_end: int | None
    headings: Sequence[str]
    chunks: Sequence[int]
    score: float
    similarity: float | None
    bm25: float | None
    dense_rank: int | None
    words_rank: int | None
    rerank_score: float | None
    citation: str
    also: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAnswer:
    """Hits, best first. `mode` is how the search was done, which is `words` where a hybrid one had no vectors.

    `notes` say in sentences what the caller should know; `needs_reindex` names collections made with another embedding
    model, which were searched by words only.
    """

    hits: Sequence[Hit]
    mode: Mode
    warming_up: bool = False
    notes: Sequence[str] = ()
    needs_reindex: Sequence[str] = ()
