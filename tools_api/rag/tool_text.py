"""What the tool `rag` says to a model: numbered passages that fit a small context, the best first."""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_CHARS = 6000
"""Of one answer: some 1,500 tokens, so that a context of 8,192 has room for several."""

_LEAST_CHARS = 200
"""A passage of which less would be left is left out."""
_MAX_HEADINGS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A passage as it is shown. `part` is its number in the document, from 1; None if that is not known."""

    citation: str
    part: int | None
    headings: tuple[str, ...]
    text: str


def passages_text(passages: Sequence[Passage], *, max_chars: int = MAX_CHARS) -> tuple[str, int]:
    """Return passages with the numbers by which they are cited, and how many are shown: the others did not fit."""
    shown: list[str] = []
    room = max_chars
    for number, passage in enumerate(passages, 1):
        block = f"[{number}] {_header(passage)}\n{passage.text.strip()}"
        if shown and len(block) > room and room < _LEAST_CHARS:
            break
        shown.append(_cut(block, max(room, _LEAST_CHARS)))
        room -= len(shown[-1]) + 2
    left_out = len(passages) - len(shown)
    notes = [f"({left_out} more left out for lack of room: ask for something narrower.)"] if left_out else []
    return "\n\n".join([*shown, *notes]), len(shown)


def parts_text(name: str, passages: Sequence[Passage], *, of: int, max_chars: int = MAX_CHARS) -> tuple[str, int]:
    """Return consecutive parts of a document as they follow one another, and how many were shown."""
    blocks: list[str] = []
    room = max_chars
    headings: tuple[str, ...] | None = None
    for passage in passages:
        heading = f"{' > '.join(passage.headings)}\n" if passage.headings and passage.headings != headings else ""
        block = f"(part {passage.part}) {heading}{passage.text.strip()}"
        if blocks and len(block) > room:
            break
        blocks.append(_cut(block, max(room, _LEAST_CHARS)))
        room -= len(blocks[-1]) + 2
        headings = passage.headings
    first = passages[0].part or 1
    last = first + len(blocks) - 1
    more = f" To go on, read with around: {last + 1}." if last < of else " This is its end."
    return "\n\n".join([f"{name}, parts {first} to {last} of {of}.{more}", *blocks]), len(blocks)


def quoted(words: str) -> str:
    """Return words of a caller for a sentence about them."""
    short = words.strip() if len(words.strip()) <= 100 else f"{words.strip()[:100]}…"
    return f'"{short}"'


def listed(names: Sequence[str], *, most: int = 20) -> str:
    """Return names as a list in a sentence."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _header(passage: Passage) -> str:
    where = passage.citation if passage.part is None else f"{passage.citation}, part {passage.part}"
    headings = " > ".join(passage.headings)
    if len(headings) > _MAX_HEADINGS:
        headings = f"…{headings[-_MAX_HEADINGS:]}"
    return f"{where} — {headings}" if headings else where


def _cut(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    cut = text[: room - 1]
    return f"{cut[: cut.rfind(' ')] if cut.rfind(' ') > room // 2 else cut}…"
