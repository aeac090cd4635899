"""Makes chunks of a document's blocks: never across a section unless it is tiny, never larger than the model reads.

The text of a document is its pieces with the white space between them; so a chunk's offsets are exact by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

from blocks import Block, one_line
from passages import embedded_prefix, embedded_text
from pieces import Piece, Room, pieces_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tokens import Counter

    Path = tuple[str, ...]

LONGEST_HEADING = 200
DEEPEST = 6
_TINY = 8
"""A chunk is tiny below this part of the limit."""
_NEXT_TO_EMPTY = 32


@dataclass(slots=True)
class Passage:
    """A chunk in the making."""

    pieces: list[Piece]
    headings: Path
    tokens: int

    @property
    def text(self) -> str:
        """Join the pieces with what stands between them."""
        first, *rest = self.pieces
        return first.text + "".join(piece.gap + piece.text for piece in rest)


class Chunker:
    """Cuts one document. `limit` bounds the tokens of each chunk as it is embedded: with title and headings."""

    def __init__(self, counter: Counter, *, limit: int, title: str | None = None) -> None:
        self._counter = counter
        self._limit = limit
        self._rooms: dict[Path, tuple[Path, Room]] = {}
        self.title = self._fitting_title(title)

    def chunks(self, blocks: Sequence[Block]) -> Iterator[tuple[str, int, int, int | None, int | None, Path]]:
        """Yield text, start, end, first page, last page and headings of each chunk, in order."""
        position = 0
        for number, passage in enumerate(self._checked(self._merged(self._filled(self._pieces(blocks))))):
            start = position + (len(passage.pieces[0].gap) if number else 0)
            text = passage.text
            position = start + len(text)
            pages = [piece.page for piece in passage.pieces if piece.page is not None]
            yield text, start, position, min(pages, default=None), max(pages, default=None), passage.headings

    def _pieces(self, blocks: Sequence[Block]) -> Iterator[Piece]:
        path: list[tuple[int, str]] = []
        leads = False
        heading_tokens = 0  # of the headings just before, which stay with what follows
        all_starts = self._counter.starts([block.text for block in blocks])
        for block, starts in zip(blocks, all_starts, strict=True):
            if block.kind == "heading":
                path = [step for step in path if step[0] < block.level][: DEEPEST - 1]
                path.append((block.level, one_line(block.text, LONGEST_HEADING)))
                leads = True
                if block.silent:
                    continue
            headings, room = self._room(tuple(text for _, text in path if text))
            if 2 * heading_tokens < room.tokens:
                room = Room(room.tokens - heading_tokens)
            heading_tokens = heading_tokens + len(starts) if block.kind == "heading" else 0
            gap = "\n\n"
            for text, tokens, inner_gap, is_cut in pieces_of(block, starts, room, self._counter):
                yield Piece(
                    text, tokens, inner_gap or gap, block.page, headings, block.kind == "heading", leads, is_cut
                )
                gap, leads = "", False

    def _filled(self, pieces: Iterable[Piece]) -> Iterator[Passage]:
        """Put pieces of a section together as long as they fit."""
        passage: Passage | None = None
        for piece in pieces:
            _, room = self._room(piece.headings)
            if (
                passage
                and self._continues(passage, piece)
                and room.holds(
                    passage.tokens + piece.tokens, sum(len(part.text) for part in passage.pieces) + len(piece.text)
                )
            ):
                passage.pieces.append(piece)
                passage.tokens += piece.tokens
                passage.headings = piece.headings
                continue
            if passage:
                yield passage
            passage = Passage([piece], piece.headings, piece.tokens)
        if passage:
            yield passage

    def _continues(self, passage: Passage, piece: Piece) -> bool:
        if piece.headings == passage.headings and not piece.is_heading:
            return True
        leads_to = piece.headings[: len(passage.headings)] == passage.headings
        return leads_to and all(part.is_heading for part in passage.pieces)

    def _merged(self, passages: Iterable[Passage]) -> Iterator[Passage]:
        """Join what is tiny to its neighbour if there is room, also across sections."""
        waiting: Passage | None = None
        for passage in passages:
            if waiting is None:
                waiting = passage
            elif (joined := self._joined(waiting, passage)) is not None:
                waiting = joined
            else:
                yield waiting
                waiting = passage
        if waiting:
            yield waiting

    def _joined(self, one: Passage, other: Passage) -> Passage | None:
        if min(one.tokens, other.tokens) >= self._limit // _TINY:
            return None
        common = _common(one.headings, other.headings)
        if not (_tells(one, common) and _tells(other, common)) or self._is_far(one, other):
            return None
        headings, room = self._room(common)
        pieces = [*one.pieces, *other.pieces]
        tokens = one.tokens + other.tokens
        fits = room.holds(tokens, sum(len(piece.text) + 2 for piece in pieces))
        return Passage(pieces, headings, tokens) if fits else None

    def _is_far(self, one: Passage, other: Passage) -> bool:
        """Say whether they stand on two pages and in two sections: slides are only joined if one is next to empty."""
        on_one_page = one.pieces[-1].page == other.pieces[0].page
        smaller = min(one.tokens, other.tokens)
        return not on_one_page and one.headings != other.headings and smaller >= self._limit // _NEXT_TO_EMPTY

    def _checked(self, passages: Iterable[Passage]) -> Iterator[Passage]:
        """Count each passage as it is embedded, where the pieces' sum may be another, and cut what is too long."""
        for passage in passages:
            if self._is_certain(passage) or self._count(passage) <= self._limit:
                yield passage
            else:
                yield from self._checked(self._halves(passage))

    def _is_certain(self, passage: Passage) -> bool:
        """Say whether the pieces' sum is exact: it is where all of them begin and end at white space."""
        return self._counter.is_additive and not any(piece.is_cut for piece in passage.pieces)

    def _count(self, passage: Passage) -> int:
        text = embedded_text(self.title, passage.headings, passage.text)
        return self._counter.count(text) + self._counter.special

    def _halves(self, passage: Passage) -> Iterator[Passage]:
        if len(passage.pieces) > 1:
            middle = len(passage.pieces) // 2
            for pieces in (passage.pieces[:middle], passage.pieces[middle:]):
                yield Passage(pieces, passage.headings, sum(piece.tokens for piece in pieces))
            return
        whole = passage.pieces[0]
        if len(whole.text) < 2:
            whole.gap = whole.gap or ""
            yield Passage([whole], (), 0)
            return
        middle = _near_middle(whole.text)
        yield self._part(whole, whole.text[:middle].rstrip(), whole.gap)
        gap = whole.text[:middle][len(whole.text[:middle].rstrip()) :]
        yield self._part(whole, whole.text[middle:], gap)

    def _part(self, whole: Piece, text: str, gap: str) -> Passage:
        piece = Piece(text, self._counter.count(text), gap, whole.page, whole.headings, is_cut=True)
        return Passage([piece], whole.headings, piece.tokens)

    def _room(self, path: Path) -> tuple[Path, Room]:
        """Return how much text fits below these headings, without the outermost ones if they take too much."""
        if (known := self._rooms.get(path)) is None:
            headings, taken = path, self._prefix_tokens(path)
            while headings and 3 * taken > self._limit:
                headings = headings[1:]
                taken = self._prefix_tokens(headings)
            room = Room(max(1, self._limit - self._counter.special - taken))
            known = self._rooms[path] = headings, room
        return known

    def _prefix_tokens(self, path: Path) -> int:
        prefix = embedded_prefix(self.title, path)
        return self._counter.count(prefix) if prefix else 0

    def _fitting_title(self, title: str | None) -> str | None:
        title = one_line(title or "") or None
        while title and 4 * self._counter.count(embedded_prefix(title, ())) > self._limit:
            title = title[: len(title) // 2].rstrip() or None
        return title


def _tells(passage: Passage, common: Path) -> bool:
    """Say whether a passage can do without its headings but for the common ones: its text begins with the others."""
    return passage.headings == common or passage.pieces[0].leads


def _common(one: Path, other: Path) -> Path:
    """Return the headings that both stand below."""
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return one[:length]


def _near_middle(text: str) -> int:
    middle = len(text) // 2
    space = text.find(" ", middle, middle + middle // 2)
    return space + 1 if space > 0 else middle
