"""Search: a question in, passages with their places out, over several collections at once.

Both halves of every collection are asked (`halves.py`), what they found is brought into one order (`fusion.py`), read,
reranked if that is asked for, and joined with its neighbours (`passages.py`). Where there are no vectors yet, a hybrid
search answers by words and says so. Who may read which collection is decided before.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import InvalidRequest
from tools_api.embeddings.errors import EncoderUnavailable
from tools_api.embeddings.protocol import Encoder
from tools_api.rag.search.fusion import Candidate, fused, only_dense, only_words
from tools_api.rag.search.halves import Answer, Asked, Halves, merged
from tools_api.rag.search.indexes import Collections
from tools_api.rag.search.passages import Ranked, passages
from tools_api.rag.search.question_vectors import QuestionVector, QuestionVectors
from tools_api.rag.search.values import MAX_RERANKED, Mode, SearchAnswer, Searched, SearchQuery
from tools_api.rag.values import MAX_QUERY, MAX_TOP_K

_DEPTH = 100
"""How many chunks each half brings at least."""
_READ_FACTOR = 3
"""So many chunks are read for each hit that is asked for: some are repeated texts or neighbours of others."""


class RerankerMissing(InvalidRequest):
    """Reranking was asked for, and no cross-encoder is configured."""

    code = "rerank_not_configured"


@dataclass(frozen=True, slots=True)
class _Order:
    """Chunks in their final order, and what there is to say of it."""

    ranked: Sequence[Ranked]
    note: str | None = None


class SearchService:
    """Searches collections that the caller may read."""

    def __init__(
        self,
        collections: Collections,
        encoder: Encoder,
        *,
        start_patience_s: float = 5.0,
        busy_patience_s: float = 10.0,
    ) -> None:
        """`start_patience_s` is how long a search by vectors alone waits for an encoder that starts,
        `busy_patience_s` how long a hybrid one waits for its vector."""
        self._encoder = encoder
        self._halves = Halves(collections)
        self._vectors = QuestionVectors(encoder, start_patience_s=start_patience_s, busy_patience_s=busy_patience_s)

    async def search(self, searched: Sequence[Searched], query: SearchQuery) -> SearchAnswer:
        """Answer a question. Raises `InvalidRequest`; for mode `dense` also `EncoderUnavailable`."""
        self._check(query)
        question = await self._question(query)
        mode: Mode = "words" if query.mode == "hybrid" and question.vector is None else query.mode
        asked = Asked(
            vector=question.vector,
            fingerprint=question.fingerprint,
            words=None if mode == "dense" else query.text,
            depth=max(_DEPTH, _READ_FACTOR * query.top_k),
            where=query.where,
        )
        answers = await self._halves.ask(searched, asked)
        candidates = await asyncio.to_thread(_candidates, mode, answers, asked.depth)
        order = await self._ordered(searched, query, candidates)
        return SearchAnswer(
            hits=await asyncio.to_thread(passages, order.ranked, query.top_k),
            mode=mode,
            warming_up=question.warming_up,
            notes=[note for note in (question.note, order.note) if note],
            needs_reindex=_of_other_models(searched, question),
        )

    async def aclose(self) -> None:
        """Stop what runs in the background."""
        await self._vectors.aclose()

    def _check(self, query: SearchQuery) -> None:
        if not query.text.strip():
            raise InvalidRequest("query: say what to look for.", param="query")
        if len(query.text) > MAX_QUERY:
            raise InvalidRequest(f"query: {MAX_QUERY} characters are the most; ask for less at once.", param="query")
        if not 1 <= query.top_k <= MAX_TOP_K:
            raise InvalidRequest(f"top_k: ask for 1 to {MAX_TOP_K} hits.", param="top_k")
        if query.rerank and query.top_k > MAX_RERANKED:
            raise InvalidRequest(f"top_k: with rerank, ask for at most {MAX_RERANKED} hits.", param="top_k")
        if query.rerank and not self._encoder.can_rerank:
            raise RerankerMissing(
                "rerank: no cross-encoder is configured here (RAG_RERANK_MODEL); search without it.", param="rerank"
            )

    async def _question(self, query: SearchQuery) -> QuestionVector:
        if query.mode == "words":
            return QuestionVector()
        return await (self._vectors.needed if query.mode == "dense" else self._vectors.wished)(query.text)

    async def _ordered(
        self, searched: Sequence[Searched], query: SearchQuery, candidates: Sequence[Candidate]
    ) -> _Order:
        """Read the best candidates, and let the cross-encoder sort them if it is asked."""
        best = candidates[: MAX_RERANKED if query.rerank else _READ_FACTOR * query.top_k]
        stored = await self._halves.read(searched, (each.key for each in best))
        ranked = [Ranked(each, searched[each.key.collection], stored[each.key]) for each in best if each.key in stored]
        return await self._reranked(query.text, ranked) if query.rerank and ranked else _Order(ranked)

    async def _reranked(self, text: str, ranked: Sequence[Ranked]) -> _Order:
        try:
            scores = await self._encoder.rerank(text, [each.stored.chunk.text for each in ranked])
        except EncoderUnavailable as error:
            return _Order(ranked, f"This was not reranked: {error.message}")
        judged = [
            Ranked(each.candidate, each.collection, each.stored, float(score))
            for each, score in zip(ranked, scores, strict=True)
        ]
        judged.sort(key=lambda each: -(each.rerank_score or 0.0))
        return _Order(judged)


def _candidates(mode: Mode, answers: Sequence[Answer], depth: int) -> list[Candidate]:
    dense, words = merged(answers, depth)
    match mode:
        case "dense":
            return only_dense(dense)
        case "words":
            return only_words(words)
        case "hybrid":
            return fused(dense, words)


def _of_other_models(searched: Sequence[Searched], question: QuestionVector) -> list[str]:
    """Name the collections whose vectors can't be compared with the question's."""
    if question.vector is None:
        return []
    return [each.name for each in searched if each.fingerprint not in (None, question.fingerprint)]
