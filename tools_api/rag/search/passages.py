"""From ranked chunks to hits: neighbours are joined, repeated texts are told once. Blocks for a millisecond or so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tools_api.rag.search.citation import citation
from tools_api.rag.search.fusion import Candidate
from tools_api.rag.search.values import Hit, Searched
from tools_api.rag.values import StoredChunk

_JOINED_CHUNKS = 3
_JOINED_CHARACTERS = 6_000
_LINE_BREAKS = 2
"""So many stand at most between two chunks, however far apart a restored collection says that they are."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A chunk that was found, with its text, and how well the cross-encoder likes it if it was asked."""

    candidate: Candidate
    collection: Searched
    stored: StoredChunk
    rerank_score: float | None = None


def passages(ranked: Iterable[Ranked], top_k: int) -> list[Hit]:
    """Return up to `top_k` hits in the order of the chunks.

    A chunk beside one that is already a hit becomes part of it, as long as that stays short; hits never overlap. A text
    that is the same but for case, spaces and punctuation only adds the other place to the hit.
    """
    hits: list[Hit] = []
    texts: dict[str, int] = {}
    for one in ranked:
        words = _words(one.stored.chunk.text)
        if (same := texts.get(words)) is not None:
            hits[same] = _also(hits[same], one)
        elif (beside := _neighbour(hits, one)) is not None:
            hits[beside] = _join(hits[beside], one.stored)
            texts[words] = beside
        elif len(hits) < top_k:
            texts[words] = len(hits)
            hits.append(_hit(one))
        else:
            break
    return hits


def _words(text: str) -> str:
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text.casefold()).split()) or text


def _hit(one: Ranked) -> Hit:
    found, chunk, document = one.candidate, one.stored.chunk, one.stored.document
    return Hit(
        collection=one.collection.id,
        collection_name=one.collection.name,
        document=document,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        page=chunk.page,
        page_end=chunk.page_end if chunk.page_end is not None else chunk.page,
        headings=chunk.headings,
        chunks=[chunk.ordinal],
        score=found.score if one.rerank_score is None else one.rerank_score,
        similarity=found.similarity,
        bm25=found.bm25,
        dense_rank=found.dense_rank,
        words_rank=found.words_rank,
        rerank_score=one.rerank_score,
        citation=citation(document, chunk.page, chunk.page_end),
    )


def _also(hit: Hit, one: Ranked) -> Hit:
    place = citation(one.stored.document, one.stored.chunk.page, one.stored.chunk.page_end)
    return hit if place in (hit.citation, *hit.also) else replace(hit, also=[*hit.also, place])


def _neighbour(hits: Sequence[Hit], one: Ranked) -> int | None:
    """Return which hit a chunk stands beside, if they may be joined."""
    ordinal = one.stored.chunk.ordinal
    for number, hit in enumerate(hits):
        if (
            hit.document.id == one.stored.document.id
            and hit.collection == one.collection.id
            and ordinal in (hit.chunks[0] - 1, hit.chunks[-1] + 1)
            and len(hit.chunks) < _JOINED_CHUNKS
            and len(hit.text) + len(one.stored.chunk.text) <= _JOINED_CHARACTERS
        ):
            return number
    return None


def _join(hit: Hit, stored: StoredChunk) -> Hit:
    """Put a neighbouring chunk before or behind a hit's text; score and ranks stay those of the better one."""
    chunk = stored.chunk
    if chunk.ordinal < hit.chunks[0]:
        text = f"{chunk.text}{_gap(hit.start - chunk.end)}{hit.text}"
        joined = replace(
            hit, text=text, start=chunk.start, chunks=[chunk.ordinal, *hit.chunks], headings=chunk.headings
        )
    else:
        text = f"{hit.text}{_gap(chunk.start - hit.end)}{chunk.text}"
        joined = replace(hit, text=text, end=chunk.end, chunks=[*hit.chunks, chunk.ordinal])
    pages = [page for page in (hit.page, hit.page_end, chunk.page, chunk.page_end) if page is not None]
    page, page_end = (min(pages), max(pages)) if pages else (None, None)
    return replace(joined, page=page, page_end=page_end, citation=citation(hit.document, page, page_end))


def _gap(characters: int) -> str:
    return " " if characters == 1 else "\n" * min(characters, _LINE_BREAKS)
