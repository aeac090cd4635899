"""Cuts blocks that are too large for a chunk: at sentences, items, rows and lines before anything harder."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass

from tokens import tokens_between

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from blocks import Block
    from tokens import Counter, Starts

    Span = tuple[int, int]
    Part = tuple[str, int, str, bool]

_CHARACTERS_PER_TOKEN = 8
"""More have no tokens of their own any more: a word of a megabyte is a single unknown one to some models."""
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[^\sa-z])|(?<=[。！？])|\n+")
_LINE_END = re.compile(r"\n+")
_WORD_END = re.compile(r"\s+")
_EMPTY_LINE = re.compile(r"\n[ \t]*\n+")
_ENDS = {"list": (_LINE_END,), "table": (_LINE_END,), "code": (_EMPTY_LINE, _LINE_END)}


@dataclass(slots=True)
class Piece:
    """What fits into a chunk. `gap` is what stands before it in the document's text: white space, or nothing."""

    text: str
    tokens: int
    gap: str
    page: int | None
    headings: tuple[str, ...]
    is_heading: bool = False
    leads: bool = False
    """Whether a section begins with it, so that its text says under which heading it stands."""
    is_cut: bool = False
    """Whether it begins or ends inside a word, so that its tokens may be others than they were in the whole."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much a piece may hold."""

    tokens: int

    @property
    def characters(self) -> int:
        """Bound the characters too."""
        return self.tokens * _CHARACTERS_PER_TOKEN

    def holds(self, tokens: int, characters: int) -> bool:
        """Say whether so much fits."""
        return tokens <= self.tokens and characters <= self.characters

    def holds_span(self, span: Span, starts: Starts) -> bool:
        """Say whether what stands there fits."""
        return self.holds(tokens_between(starts, *span), span[1] - span[0])


def pieces_of(block: Block, starts: Starts, room: Room, counter: Counter) -> Iterator[Part]:
    """Yield of each piece of a block its text, its tokens, the gap before it, and whether it was cut inside a word."""
    text = block.text
    if room.holds(len(starts), len(text)):
        yield text, len(starts), "", False
        return
    header = block.header if block.kind == "table" and text.startswith(block.header) else ""
    header_tokens = counter.count(header) if header else 0
    if 3 * header_tokens > room.tokens or 3 * len(header) > room.characters:
        header, header_tokens = "", 0
    yield from _rendered(_spans(block, starts, Room(room.tokens - header_tokens), len(header)), text, starts, header)


def _spans(block: Block, starts: Starts, room: Room, begin: int) -> Iterator[Span]:
    ends = (*_ENDS.get(block.kind, ()), _SENTENCE_END, _LINE_END, _WORD_END)
    return _packed(block.text, (begin, len(block.text)), starts, room, ends)


def _rendered(spans: Iterable[Span], text: str, starts: Starts, header: str) -> Iterator[Part]:
    header_tokens = tokens_between(starts, 0, len(header))
    last_end: int | None = None
    for start, end in spans:
        gap = "" if last_end is None else "\n" if header else _gap(text[last_end:start])
        shown = f"{header}\n{text[start:end]}" if header else text[start:end]
        is_cut = text[max(0, start - 1) : start].strip() != "" or text[end : end + 1].strip() != ""
        yield shown, header_tokens + tokens_between(starts, start, end), gap, is_cut
        last_end = end


def _packed(text: str, whole: Span, starts: Starts, room: Room, ends: Sequence[re.Pattern[str]]) -> Iterator[Span]:
    """Pack what lies between ends of the first kind, as much as fits; what does not fit alone is cut at the next."""
    packed: Span | None = None
    for unit in _units(text, whole, ends[0]):
        if packed and room.holds_span((packed[0], unit[1]), starts):
            packed = packed[0], unit[1]
            continue
        if packed:
            yield packed
            packed = None
        if room.holds_span(unit, starts):
            packed = unit
        elif len(ends) > 1:
            yield from _packed(text, unit, starts, room, ends[1:])
        else:
            yield from _hard(unit, starts, room)
    if packed:
        yield packed


def _units(text: str, whole: Span, end: re.Pattern[str]) -> Iterator[Span]:
    """Yield the spans between the matches, without white space around them; indentation stays."""
    position = whole[0]
    for match in end.finditer(text, *whole):
        yield from _stripped(text, position, match.end())
        position = match.end()
    yield from _stripped(text, position, whole[1])


def _stripped(text: str, start: int, end: int) -> Iterator[Span]:
    while end > start and text[end - 1].isspace():
        end -= 1
    while start < end and text[start] == "\n":
        start += 1
    if end > start:
        yield start, end


def _hard(word: Span, starts: Starts, room: Room) -> Iterator[Span]:
    """Cut inside a word, between two tokens where the model sees any."""
    start, end = word
    while start < end:
        after = bisect_left(starts, start) + room.tokens
        stop = min(end, start + room.characters, starts[after] if after < len(starts) else end)
        stop = max(stop, start + 1)
        yield start, stop
        start = stop


def _gap(between: str) -> str:
    return "\n" if "\n" in between else " " if between else ""
