"""Exact search: every place where a text or a regular expression occurs in collections, in their order.

It reads every chunk that the filter lets through, in batches, within a budget of time and matches; what is left over is
gone on with by the cursor of the answer. Matches across the borders of chunks are found. Memory does not depend on the
size of documents or collections.
"""

import asyncio
import base64
import json
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from shared.errors import InvalidRequest, NotFound, Unavailable
from tools_api.rag.search.exact_scan import Place, Scan
from tools_api.rag.search.exact_values import MAX_MATCHES, ExactAnswer, ExactMatch, ExactQuery
from tools_api.rag.search.indexes import Collections
from tools_api.rag.search.pattern import Pattern, compile_pattern

_BUDGET_S = 10.0
_AT_ONCE = 2
_PATIENCE_S = 20.0
_LARGEST = 2**62


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a cursor points: the position of a collection among those that are searched, and a place in it."""

    collection: int = 0
    place: Place | None = None


@dataclass(slots=True)
class _Tally:
    """What a call has found and looked at so far."""

    matches: list[ExactMatch]
    documents: int = 0
    characters: int = 0


class ExactSearch:
    """Searches collections that the caller may read; who may what is decided before."""

    def __init__(
        self, collections: Collections, *, budget_s: float = _BUDGET_S, patience_s: float = _PATIENCE_S
    ) -> None:
        self._collections = collections
        self._budget_s = budget_s
        self._patience_s = patience_s
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def search(self, collections: Sequence[str], query: ExactQuery) -> ExactAnswer:
        """Return the places in these collections, given by their ids. Raises `InvalidRequest`, `Unavailable`."""
        if not 1 <= query.limit <= MAX_MATCHES:
            raise InvalidRequest(f"limit: ask for 1 to {MAX_MATCHES} matches.", param="limit")
        pattern = compile_pattern(query.pattern, regex=query.regex, ignore_case=query.ignore_case)
        start = _read_cursor(query.cursor, collections) if query.cursor is not None else _Start()
        try:
            await asyncio.wait_for(self._turns.acquire(), self._patience_s)
        except TimeoutError:
            raise Unavailable("Others search for exact texts now; try again in a few seconds.", retry_after=5) from None
        try:
            return await self._search(collections, query, pattern, start)
        finally:
            self._turns.release()

    async def _search(
        self, collections: Sequence[str], query: ExactQuery, pattern: Pattern, start: _Start
    ) -> ExactAnswer:
        tally = _Tally([])
        deadline = time.monotonic() + self._budget_s
        place = start.place
        for collection in collections[start.collection :]:
            scan = Scan(pattern, collection, place, deadline)
            await self._through(collection, scan, query, tally)
            tally.documents += scan.documents
            tally.characters += scan.characters
            if len(tally.matches) >= query.limit or scan.out_of_time:
                partial = "limit" if len(tally.matches) >= query.limit else "time"
                return _answer(tally, partial=partial, cursor=_cursor(collection, scan.place))
            place = None
        return _answer(tally, partial=None, cursor=None)

    async def _through(self, collection: str, scan: Scan, query: ExactQuery, tally: _Tally) -> None:
        """Look through one collection until it ends, or time or matches do. One that was removed has nothing."""
        index = await self._collections.existing(collection)
        if index is None:
            return
        try:
            async with aclosing(index.iterate(query.where, after=scan.place.chunk_id - 1)) as batches:
                async for chunks in batches:
                    room = query.limit - len(tally.matches)
                    tally.matches += await asyncio.to_thread(scan.feed, chunks, last=False, limit=room)
                    if len(tally.matches) >= query.limit or scan.out_of_time:
                        return
            tally.matches += await asyncio.to_thread(scan.feed, [], last=True, limit=query.limit - len(tally.matches))
        except NotFound:
            return


def _answer(tally: _Tally, *, partial: Literal["limit", "time"] | None, cursor: str | None) -> ExactAnswer:
    return ExactAnswer(
        matches=tally.matches,
        partial=partial,
        cursor=cursor,
        documents=tally.documents,
        characters=tally.characters,
    )


def _cursor(collection: str, place: Place) -> str:
    content = json.dumps([collection, place.chunk_id, place.offset]).encode()
    return base64.urlsafe_b64encode(content).decode()


def _read_cursor(cursor: str, collections: Sequence[str]) -> _Start:
    try:
        content = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, RecursionError):  # among them what base64 and Unicode say
        content = None
    match content:
        case [str(collection), int(chunk_id), int(offset)] if (
            collection in collections and 0 <= chunk_id < _LARGEST and 0 <= offset < _LARGEST
        ):
            return _Start(list(collections).index(collection), Place(chunk_id, offset))
        case _:
            raise InvalidRequest(
                "cursor: it is not of an answer for these collections; leave it out to begin anew.", param="cursor"
            )
