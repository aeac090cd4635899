"""OpenDocument texts and slides."""

from __future__ import annotations

from blocks import Block, Bounds, Content, Refused, clean, facts, one_line
from office import Package
from tables import table_blocks
from xml_events import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks import Metadata
    from xml_events import Element

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_META = "{urn:oasis:names:tc:opendocument:xmlns:meta:1.0}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_UNSEEN = {f"{_TEXT}tracked-changes", f"{_OFFICE}annotation", f"{_TEXT}note-citation"}
_MOST_REPEATS = 1000


def parse_odf(data: bytes, kind: str, media_type: str, bounds: Bounds) -> Content:
    """Parse an OpenDocument text (`odt`) or slides (`odp`)."""
    package = Package(data, bounds)
    if "META-INF/manifest.xml" in package and b"encryption-data" in package.read("META-INF/manifest.xml"):
        raise Refused("encrypted", "The document is protected with a password. Save it without one.")
    reader = _OdfReader(bounds, counts_pages=kind == "odp")
    with package.open("content.xml") as stream:
        blocks = list(reader.blocks(events(stream)))
    metadata = _odf_facts(package)
    title = str(metadata.pop("title", "")) or next((block.text for block in blocks if block.kind == "heading"), None)
    return Content(media_type, blocks, title=title, pages=reader.page, metadata=metadata)


class _OdfReader:
    def __init__(self, bounds: Bounds, *, counts_pages: bool) -> None:
        self.page = 0 if counts_pages else None
        self._bounds = bounds
        self._characters = 0

    def blocks(self, told: Iterator[tuple[str, Element]]) -> Iterator[Block]:
        """Yield blocks of what stands at the top: an element inside of another one is its matter."""
        inside: Element | None = None
        for event, element in told:
            if event == "start":
                if element.tag == f"{_DRAW}page" and self.page is not None and inside is None:
                    self.page += 1
                    yield Block("heading", f"Slide {self.page}", level=1, page=self.page, silent=True)
                if inside is None and element.tag in _WHOLE | _UNSEEN:
                    inside = element
            elif element is inside:
                inside = None
                if element.tag not in _UNSEEN:
                    yield from self._whole(element)
                element.clear()

    def _whole(self, element: Element) -> Iterator[Block]:
        if element.tag == f"{_TABLE}table":
            yield from table_blocks(self._rows(element), self._bounds, self.page)
            return
        is_list = element.tag == f"{_TEXT}list"
        text = "\n".join(self._items(element, 0)) if is_list else _text(element)
        self._characters += len(text)
        self._bounds.check_characters(self._characters)
        if not text.strip():
            return
        if element.tag == f"{_TEXT}h":
            level = element.get(f"{_TEXT}outline-level", "1")
            yield Block("heading", one_line(text), level=min(int(level), 6) if level.isdigit() else 1, page=self.page)
        else:
            yield Block("list" if is_list else "text", text.strip(), page=self.page)

    def _items(self, element: Element, depth: int) -> Iterator[str]:
        for item in element:
            for part in item:
                if part.tag == f"{_TEXT}list":
                    yield from self._items(part, depth + 1)
                elif text := _text(part).strip():
                    yield f"{'  ' * min(depth, 6)}- {text}"

    def _rows(self, table: Element) -> Iterator[list[str]]:
        for row in table.iter(f"{_TABLE}table-row"):
            cells: list[str] = []
            for cell in row.findall(f"{_TABLE}table-cell"):
                text = " ".join(_text(part) for part in cell)
                times = cell.get(f"{_TABLE}number-columns-repeated", "1")
                cells += [text] * (min(int(times), _MOST_REPEATS) if text and times.isdigit() else 1)
            yield cells


_WHOLE = {f"{_TEXT}p", f"{_TEXT}h", f"{_TEXT}list", f"{_TABLE}table"}


def _text(element: Element) -> str:
    parts: list[str] = []
    _collect(element, parts)
    return clean("".join(parts))


def _collect(element: Element, parts: list[str]) -> None:
    if element.tag in _UNSEEN:
        return
    parts.append((element.text or "").replace("\n", " "))
    for child in element:
        if child.tag in {f"{_TEXT}s", f"{_TEXT}tab"}:
            parts.append(" ")
        elif child.tag == f"{_TEXT}line-break":
            parts.append("\n")
        else:
            _collect(child, parts)
        parts.append((child.tail or "").replace("\n", " "))


def _odf_facts(package: Package) -> Metadata:
    if "meta.xml" not in package:
        return {}
    root = package.tree("meta.xml")
    tags = {
        "title": f"{_DC}title",
        "author": f"{_DC}creator",
        "created": f"{_META}creation-date",
        "modified": f"{_DC}date",
    }
    return facts({name: next((found.text for found in root.iter(tag)), None) for name, tag in tags.items()})
