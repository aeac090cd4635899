"""What a format's parser makes of a file: blocks in reading order. Runs inside the sandbox, as all of this folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Literal

    Kind = Literal["heading", "text", "list", "table", "code"]
    Metadata = dict[str, str | int | float | bool]

_CONTROLS: dict[int, str | None] = {
    **dict.fromkeys((*range(9), *range(14, 32), *range(127, 160), 0xFEFF, 0xFFFE)),
    **dict.fromkeys((0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029), "\n"),
    0xA0: " ",
}
_SUSPECT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\xa0\u2028\u2029\ufeff\ufffe\ud800-\udfff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_SPACES = re.compile(r"\s+")


class Refused(Exception):
    """The file can't be parsed, or not in full: a stable word, and a sentence for its owner."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class Block:
    """A piece of a document that belongs together.

    `heading`: one line, of `level` 1 (outermost) to 6; a `silent` one leads to what follows and is not in the text.
    `list`, `table`, `code`: an item, a row, a line of source on each line. A table's `header` is its first line (or
    several), which is repeated where the table has to be cut. `page` counts from 1.
    """

    kind: Kind
    text: str
    level: int = 0
    page: int | None = None
    header: str = ""
    silent: bool = False


@dataclass
class Content:
    """What a parser found in a file."""

    media_type: str
    blocks: list[Block]
    title: str | None = None
    pages: int | None = None
    metadata: Metadata = field(default_factory=dict[str, "str | int | float | bool"])


@dataclass(frozen=True)
class Bounds:
    """What one file may come to: pages, characters of text, pixels of a picture, members and bytes of a container."""

    pages: int = 5000
    characters: int = 10_000_000
    pixels: int = 100_000_000
    members: int = 10_000
    unpacked_bytes: int = 500 << 20
    member_bytes: int = 100 << 20
    ratio: int = 200

    def check_pages(self, pages: int) -> None:
        """Raise `Refused` for too many."""
        if pages > self.pages:
            raise Refused("too_large", f"It has {pages} pages; at most {self.pages} are read.")

    def check_characters(self, characters: int) -> None:
        """Raise `Refused` for too many."""
        if characters > self.characters:
            raise Refused("too_large", f"It holds more than {self.characters} characters of text. Split it.")


def clean(text: str) -> str:
    """Make line ends plain, and leave out what is no text: NUL, control characters, halves of characters."""
    if not _SUSPECT.search(text):
        return text
    text = text.replace("\r\n", "\n").translate(_CONTROLS)
    return _SURROGATES.sub("\ufffd", text)


def one_line(text: str, most: int = 300) -> str:
    """Return a text as one line, cut if it is long."""
    return _SPACES.sub(" ", clean(text[: 4 * most])).strip()[:most].rstrip()


def facts(found: Mapping[str, str | int | float | bool | None]) -> Metadata:
    """Return what a file says of itself, without what it does not say."""
    said: Metadata = {}
    for name, value in found.items():
        plain = one_line(value, 500) if isinstance(value, str) else value
        if plain is not None and plain != "":
            said[name] = plain
    return said


def paragraphs(text: str, page: int | None = None) -> Iterator[Block]:
    """Cut plain text at empty lines; what looks like a list is one."""
    for part in re.split(r"\n[ \t]*(?:\n[ \t]*)+", text):
        if part := part.strip("\n").rstrip():
            lines = part.split("\n")
            items = sum(bool(_ITEM.match(line)) for line in lines)
            yield Block("list" if items > 1 and 2 * items >= len(lines) else "text", part.strip(), page=page)


_ITEM = re.compile(r"[ \t]*(?:[-*+•–◦▪]|\(?\d{1,3}[.)]|\(?[a-z][.)])[ \t]+\S")
