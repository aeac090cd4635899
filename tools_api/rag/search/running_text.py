"""A document's text as it runs through memory, put together again from its chunks.

Between two chunks there is white space only, and how much: one character is taken for a space, more for line breaks.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from tools_api.rag.search.pattern import Pattern
from tools_api.rag.values import Chunk, StoredChunk

WINDOW = 256 * 1024
"""How much of a text is looked at in one go, in characters."""
REACH = 16 * 1024
"""The longest match that is found across two windows."""
_BEHIND = 2_000
"""What is kept of what was looked at: the lines around a match."""
_WIDEST_GAP = 1_000


@dataclass(frozen=True, slots=True)
class Span:
    """A match, from and to a character of the document's text."""

    start: int
    end: int


@dataclass(slots=True)
class RunningText:
    """The part of a document that is in memory: `text` begins at the document's character `base`."""

    first: StoredChunk
    text: str = ""
    base: int = 0
    looked_at: int = 0
    """The document's character up to which no further match begins."""
    end: int = 0
    _chunks: list[StoredChunk] = field(default_factory=list[StoredChunk])
    _added: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.base = self.end = self.looked_at = self.first.chunk.start

    @property
    def unread(self) -> int:
        """How many characters were added since `matches` last ran."""
        return self.end - self.base - len(self.text)

    @property
    def last_chunk_id(self) -> int:
        return self._chunks[-1].chunk_id

    def continues_with(self, chunk: StoredChunk) -> bool:
        """Say whether a chunk follows here: of the same document, behind what is there, and close by."""
        return chunk.document.id == self.first.document.id and 0 <= chunk.chunk.start - self.end <= _WIDEST_GAP

    def add(self, chunk: StoredChunk) -> None:
        """Append a chunk."""
        gap = chunk.chunk.start - self.end
        self._added += [" " if gap == 1 else "\n" * gap, chunk.chunk.text]
        self._chunks.append(chunk)
        self.end += gap + len(chunk.chunk.text)

    def matches(self, pattern: Pattern, *, complete: bool) -> Iterator[Span]:
        """Yield matches in order; without `complete`, those that more text could change are left for the next time."""
        self.text = "".join([self.text, *self._added])
        self._added.clear()
        stop = self.end if complete else self.end - REACH
        for match in pattern.finditer(self.text, self.looked_at - self.base):
            span = Span(self.base + match.start(), self.base + match.end())
            if span.start >= stop:
                break
            if span.end > span.start:
                self.looked_at = span.end
                yield span
        self.looked_at = max(self.looked_at, stop)

    def forget(self) -> None:
        """Let go of what was looked at, but for the lines around a next match."""
        keep_from = max(self.base, self.looked_at - _BEHIND)
        self.text = self.text[keep_from - self.base :]
        self.base = keep_from
        while len(self._chunks) > 1 and self._chunks[1].chunk.start <= keep_from:
            del self._chunks[0]

    def chunk_at(self, position: int) -> StoredChunk:
        """Return the chunk that a character of the document belongs to, or the one before it in a gap."""
        starts = [chunk.chunk.start for chunk in self._chunks]
        return self._chunks[max(bisect_right(starts, position) - 1, 0)]

    def pages(self, span: Span) -> tuple[int | None, int | None]:
        """Return the first and the last page that a match may stand on."""
        first, last = self.chunk_at(span.start).chunk, self.chunk_at(span.end - 1).chunk
        return first.page, _last_page(last)

    def lines(self, span: Span, around: int) -> tuple[list[str], str, list[str]]:
        """Return the lines before a match, its own (all that it touches), and those behind."""
        start, end = span.start - self.base, span.end - self.base
        line_start = self.text.rfind("\n", 0, start) + 1
        line_end = self.text.find("\n", end)
        line_end = len(self.text) if line_end < 0 else line_end
        before = self.text[max(0, line_start - _BEHIND) : max(0, line_start - 1)].split("\n")
        behind = self.text[line_end + 1 : line_end + 1 + _BEHIND].split("\n")
        return _filled(before)[-around:], self.text[line_start:line_end], _filled(behind)[:around]


def _filled(lines: list[str]) -> list[str]:
    return [line for line in lines if line.strip()]


def _last_page(chunk: Chunk) -> int | None:
    return chunk.page if chunk.page_end is None else chunk.page_end
