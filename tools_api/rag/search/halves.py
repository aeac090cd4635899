"""Asks the two halves of collections, several at the same time, and ranks what each half found in all of them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import NotFound
from tools_api.rag.search.fusion import Found, Half, Key
from tools_api.rag.search.indexes import Collections, SearchableCollection
from tools_api.rag.search.values import Searched
from tools_api.rag.values import Filter, ScoredChunk, StoredChunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_AT_ONCE = 8

Answer = tuple[Sequence[Found], Sequence[Found]]
"""What vectors found in a collection, and what words found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is looked for: `vector` in the collections of `fingerprint` unless it is None, `words` unless it is None."""

    vector: "NDArray[np.float32] | None"
    fingerprint: str | None
    words: str | None
    depth: int
    where: Filter | None


class Halves:
    """Reaches collections; one that is removed meanwhile has nothing."""

    def __init__(self, collections: Collections) -> None:
        self._collections = collections
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, searched: Sequence[Searched], asked: Asked) -> list[Answer]:
        """Return what vectors and what words found in each collection."""
        return await asyncio.gather(*(self._one(number, each, asked) for number, each in enumerate(searched)))

    async def read(self, searched: Sequence[Searched], keys: Iterable[Key]) -> dict[Key, StoredChunk]:
        """Return the chunks that are still there."""
        wanted: dict[int, list[int]] = {}
        for key in keys:
            wanted.setdefault(key.collection, []).append(key.chunk_id)
        found = await asyncio.gather(*(self._chunks(searched[number], ids) for number, ids in wanted.items()))
        return {
            Key(number, stored.chunk_id): stored
            for number, chunks in zip(wanted, found, strict=True)
            for stored in chunks
        }

    async def _one(self, number: int, searched: Searched, asked: Asked) -> Answer:
        async with self._turns:
            try:
                index = await self._collections.existing(searched.id)
                if index is None:
                    return [], []
                if searched.fingerprint != asked.fingerprint:
                    return [], await _words(index, number, asked)
                dense, words = await asyncio.gather(_dense(index, number, asked), _words(index, number, asked))
            except NotFound:
                return [], []
            return dense, words

    async def _chunks(self, searched: Searched, ids: Sequence[int]) -> list[StoredChunk]:
        try:
            index = await self._collections.existing(searched.id)
            return [] if index is None else await index.chunks(ids)
        except NotFound:
            return []


async def _dense(index: SearchableCollection, number: int, asked: Asked) -> list[Found]:
    if asked.vector is None:
        return []
    found = await index.search_dense(asked.vector, asked.depth, asked.where)
    return [Found(Key(number, each.chunk_id), each.score, min(max(each.score, 0.0), 1.0)) for each in found]


async def _words(index: SearchableCollection, number: int, asked: Asked) -> list[Found]:
    if asked.words is None:
        return []
    found: list[ScoredChunk] = await index.search_words(asked.words, asked.depth, asked.where)
    if not found:
        return []
    most = max(await index.most_by_words(asked.words), found[0].score)
    return [Found(Key(number, each.chunk_id), each.score, each.score / most) for each in found]


def merged(answers: Sequence[Answer], depth: int) -> tuple[Half, Half]:
    """Return one ranking for each half.

    Cosines of one model can be compared. BM25 of two collections can't, since words are not equally rare in both;
    shares of the most that a collection allows for the question can, and rank the words of several.
    """
    dense = _ranking((found for found, _ in answers), depth)
    return dense, _ranking((found for _, found in answers), depth)


def _ranking(rankings: Iterable[Sequence[Found]], depth: int) -> Half:
    together = [found for ranking in rankings for found in ranking]
    together.sort(key=lambda each: (-each.part, each.key.collection, each.key.chunk_id))
    return Half(together[:depth], full=len(together) >= depth)
