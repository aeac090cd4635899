"""Looks through chunks for a pattern, document by document. Blocks; meant for a thread."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tools_api.rag.search.citation import citation
from tools_api.rag.search.exact_values import ExactMatch
from tools_api.rag.search.pattern import Pattern
from tools_api.rag.search.running_text import WINDOW, RunningText, Span
from tools_api.rag.values import StoredChunk

_CONTEXT_LINES = 2
_LINE = 300


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A point in a collection: the chunk to begin with, and the character of its document to begin at."""

    chunk_id: int
    offset: int


class Scan:
    """Goes through one collection's chunks, which come in order of their ids, from `start` on."""

    def __init__(self, pattern: Pattern, collection: str, start: Place | None, deadline: float) -> None:
        self._pattern = pattern
        self._collection = collection
        self._start = start
        self._deadline = deadline
        self._running: RunningText | None = None
        self.place = start or Place(0, 0)
        """Where to go on behind the last match that was yielded, or behind what was looked at."""
        self.documents = 0
        self.characters = 0
        self.out_of_time = False

    def feed(self, chunks: Iterable[StoredChunk], *, last: bool, limit: int) -> list[ExactMatch]:
        """Look at further chunks, and return up to `limit` matches. After that many, or out of time, it is over."""
        found: list[ExactMatch] = []
        for match in self._matches(chunks, last=last):
            found.append(match)
            if len(found) >= limit:
                break
        return found

    def _matches(self, chunks: Iterable[StoredChunk], *, last: bool) -> Iterator[ExactMatch]:
        for chunk in chunks:
            if self._running is not None and not self._running.continues_with(chunk):
                yield from self._look(self._running, complete=True)
                self._running = None
            if self.out_of_time:
                return
            if self._running is None:
                self._running = self._begin(chunk)
            self._running.add(chunk)
            if self._running.unread > WINDOW:
                yield from self._look(self._running, complete=False)
                self._running.forget()
        if last and self._running is not None:
            yield from self._look(self._running, complete=True)

    def _begin(self, chunk: StoredChunk) -> RunningText:
        running = RunningText(chunk)
        self.documents += 1
        if self._start is not None and chunk.chunk_id == self._start.chunk_id:
            running.looked_at = max(running.looked_at, self._start.offset)
        return running

    def _look(self, running: RunningText, *, complete: bool) -> Iterator[ExactMatch]:
        self.characters += running.unread
        for span in running.matches(self._pattern, complete=complete):
            self.place = Place(running.chunk_at(span.start).chunk_id, span.end)
            yield self._match(running, span)
            if time.monotonic() > self._deadline:
                self.out_of_time = True
                return
        going_on = Place(running.chunk_at(running.looked_at).chunk_id, running.looked_at)
        self.place = Place(running.last_chunk_id + 1, 0) if complete else going_on
        self.out_of_time = time.monotonic() > self._deadline

    def _match(self, running: RunningText, span: Span) -> ExactMatch:
        page, page_end = running.pages(span)
        before, line, after = running.lines(span, _CONTEXT_LINES)
        start, end = span.start - running.base, span.end - running.base
        return ExactMatch(
            collection=self._collection,
            document=running.first.document,
            text=running.text[start : min(end, start + _LINE)],
            start=span.start,
            end=span.end,
            page=page,
            page_end=page_end,
            line=_around(line, running, span),
            before=[_cut(text) for text in before],
            after=[_cut(text) for text in after],
            citation=citation(running.first.document, page, page_end),
        )


def _around(line: str, running: RunningText, span: Span) -> str:
    """Cut a line to what stands around the match in it."""
    if len(line) <= _LINE:
        return line
    start = span.start - running.base
    line_start = running.text.rfind("\n", 0, start) + 1
    first = max(0, start - line_start - _LINE // 3)
    piece = line[first : first + _LINE]
    return f"{'…' if first else ''}{piece}{'…' if first + _LINE < len(line) else ''}"


def _cut(line: str) -> str:
    return line if len(line) <= _LINE else f"{line[:_LINE]}…"
