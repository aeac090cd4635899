"""Word documents: headings by style or outline level, lists, tables; pages as they were when Word last saved it.

What was deleted or is hidden is left out; footnotes stand at the end.
"""

from __future__ import annotations

import re

from blocks import Block, Bounds, Content, clean, one_line
from office import Package
from tables import table_blocks
from xml_events import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from xml_events import Element

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_VAL = f"{_W}val"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_UNSEEN = {f"{_W}del", f"{_W}moveFrom", f"{_W}pPr", f"{_W}sectPr", f"{_W}delText", f"{_W}instrText", _FALLBACK}
_HEADING = re.compile(r"heading ([1-9])$", re.IGNORECASE)
_MOST_STYLES = 20


def parse_docx(data: bytes, media_type: str, bounds: Bounds) -> Content:
    """Parse a document. Raises `Refused`, `ParseError`, and what reading a damaged archive raises."""
    package = Package(data, bounds)
    reader = _Reader(_styles(package), bounds)
    blocks = list(reader.blocks(package, "word/document.xml"))
    blocks += [*reader.notes(package, "word/footnotes.xml"), *reader.notes(package, "word/endnotes.xml")]
    if not reader.knows_pages:
        for block in blocks:
            block.page = None
    metadata = package.facts()
    title = str(metadata.pop("title", "")) or reader.title
    pages = reader.page if reader.knows_pages else None
    return Content(media_type, blocks, title=title or None, pages=pages, metadata=metadata)


class _Reader:
    def __init__(self, styles: dict[str, tuple[int, bool]], bounds: Bounds) -> None:
        self.page = 1
        self.knows_pages = False
        self.title: str | None = None
        self._styles = styles
        self._bounds = bounds
        self._characters = 0
        self._items: list[str] = []
        self._items_page: int | None = None

    def blocks(self, package: Package, part: str) -> Iterator[Block]:
        """Yield the blocks of the document's body."""
        body: Element | None = None
        depth = 0
        with package.open(part) as stream:
            for event, element in events(stream):
                depth += 1 if event == "start" else -1
                if event == "start" and element.tag == f"{_W}body" and body is None:
                    body = element
                elif event == "end" and depth == 2 and body is not None:
                    yield from self._top(element)
                    body.clear()
        yield from self._flush()

    def notes(self, package: Package, part: str) -> Iterator[Block]:
        """Yield footnotes, or endnotes."""
        if part not in package:
            return
        for note in package.tree(part):
            text = " ".join(self._text(paragraph) for paragraph in note.iter(f"{_W}p")).strip()
            if text and note.get(f"{_W}type") is None:
                yield Block("text", text)

    def _top(self, element: Element) -> Iterator[Block]:
        if element.tag == f"{_W}p":
            yield from self._paragraph(element)
        elif element.tag == f"{_W}tbl":
            yield from self._flush()
            page = self.page
            yield from table_blocks(self._rows(element), self._bounds, page)
        elif element.tag in {f"{_W}sdt", f"{_W}customXml", f"{_W}ins", f"{_W}smartTag"}:
            for inner in element if element.tag != f"{_W}sdt" else element.findall(f"{_W}sdtContent/*"):
                yield from self._top(inner)

    def _paragraph(self, paragraph: Element) -> Iterator[Block]:
        page = self.page
        text = self._text(paragraph)
        if text.startswith("\f"):
            page += len(text) - len(text.lstrip("\f"))
        text = text.replace("\f", " ").strip()
        if not text:
            return
        self._characters += len(text)
        self._bounds.check_characters(self._characters)
        level, is_list, depth = self._kind(paragraph)
        if level:
            yield from self._flush()
            heading = one_line(text)
            if level == 1 and self.title is None:
                self.title = heading
            yield Block("heading", heading, level=min(level, 6), page=page)
        elif is_list:
            self._items_page = self._items_page or page
            self._items.append(f"{'  ' * min(depth, 6)}- {text}")
        else:
            yield from self._flush()
            yield Block("text", text, page=page)

    def _flush(self) -> Iterator[Block]:
        if self._items:
            yield Block("list", "\n".join(self._items), page=self._items_page)
            self._items, self._items_page = [], None

    def _kind(self, paragraph: Element) -> tuple[int, bool, int]:
        """Return a paragraph's level as a heading (0: none), whether it is in a list, and how deep."""
        level, is_list = self._styles.get(_value(paragraph, "pPr/pStyle"), (0, False))
        outline = _value(paragraph, "pPr/outlineLvl")
        if not level and outline.isdigit() and int(outline) < 6:
            level = int(outline) + 1
        depth = _value(paragraph, "pPr/numPr/ilvl")
        in_list = is_list or _value(paragraph, "pPr/numPr/numId") not in {"", "0"}
        return level, in_list, int(depth) if depth.isdigit() else 0

    def _rows(self, table: Element) -> Iterator[list[str]]:
        for row in table.iter(f"{_W}tr"):
            yield [
                " ".join(self._text(paragraph).replace("\f", " ") for paragraph in cell.iter(f"{_W}p"))
                for cell in row.findall(f"{_W}tc")
            ]

    def _text(self, element: Element) -> str:
        """Return what a reader sees of a paragraph; a form feed where a page began when Word last saved it."""
        parts: list[str] = []
        self._collect(element, parts)
        return clean("".join(part for part in parts if part != "\f")) if "\f" not in parts else _with_pages(parts)

    def _collect(self, element: Element, parts: list[str]) -> None:
        for child in element:
            tag = child.tag
            if tag == f"{_W}t":
                parts.append(child.text or "")
            elif tag in _UNSEEN or (tag == f"{_W}r" and child.find(f"{_W}rPr/{_W}vanish") is not None):
                continue
            elif tag == f"{_W}lastRenderedPageBreak":
                self.page += 1
                self.knows_pages = True
                parts.append("\f")
            elif tag in {f"{_W}br", f"{_W}cr"}:
                parts.append("\n")
            elif tag == f"{_W}tab":
                parts.append("\t")
            elif tag == f"{_W}noBreakHyphen":
                parts.append("-")
            else:
                if tag == f"{_W}p" and parts:
                    parts.append("\n")  # in a text box
                self._collect(child, parts)


def _with_pages(parts: list[str]) -> str:
    return "\f".join(clean(piece) for piece in "".join(parts).split("\f"))


def _styles(package: Package) -> dict[str, tuple[int, bool]]:
    """Return the heading level (0: none) of each paragraph style, and whether it makes list items."""
    if "word/styles.xml" not in package:
        return {}
    own: dict[str, tuple[int, bool]] = {}
    based_on: dict[str, str] = {}
    for style in package.tree("word/styles.xml").iter(f"{_W}style"):
        id_ = style.get(f"{_W}styleId", "")
        name = _value(style, "name").strip()
        outline = _value(style, "pPr/outlineLvl")
        found = _HEADING.match(name)
        level = int(found[1]) if found else 1 if name.lower() == "title" else 0
        if not level and outline.isdigit() and int(outline) < 6:
            level = int(outline) + 1
        own[id_] = level, name.lower().startswith("list") and name.lower() != "list"
        based_on[id_] = _value(style, "basedOn")
    return {id_: _inherited(id_, own, based_on) for id_ in own}


def _inherited(id_: str, own: dict[str, tuple[int, bool]], based_on: dict[str, str]) -> tuple[int, bool]:
    for _ in range(_MOST_STYLES):
        level, is_list = own.get(id_, (0, False))
        if level or is_list:
            return level, is_list
        id_ = based_on.get(id_, "")
    return 0, False


def _value(element: Element, path: str) -> str:
    found = element.find("/".join(f"{_W}{step}" for step in path.split("/")))
    return found.get(_VAL, "") if found is not None else ""
