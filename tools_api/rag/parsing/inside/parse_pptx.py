"""Slides: one page each, its title as the heading, then shapes in their order, tables, and the speaker's notes."""

from __future__ import annotations

import io

from blocks import Block, Bounds, Content, clean, one_line
from office import Package
from tables import table_blocks
from xml_events import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from xml_events import Element

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_DEEPEST = 20
_PRESENTATION = "ppt/presentation.xml"


def parse_pptx(data: bytes, media_type: str, bounds: Bounds) -> Content:
    """Parse slides. Raises `Refused`, `ParseError`, and what reading a damaged archive raises."""
    package = Package(data, bounds)
    related = package.related(_PRESENTATION)
    ids = [slide.get(f"{_R}id", "") for slide in package.tree(_PRESENTATION).iter(f"{_P}sldId")]
    bounds.check_pages(len(ids))
    blocks: list[Block] = []
    for page, id_ in enumerate(ids, start=1):
        _, name = related.get(id_, ("", ""))
        if name in package:
            blocks += _slide(package, name, page, bounds)
            bounds.check_characters(sum(len(block.text) for block in blocks[-50:]))
    metadata = package.facts()
    title = str(metadata.pop("title", "")) or next((block.text for block in blocks if block.kind == "heading"), None)
    if title == "PowerPoint Presentation":
        title = next((block.text for block in blocks if block.kind == "heading"), None)
    return Content(media_type, blocks, title=title, pages=len(ids) or None, metadata=metadata)


def _slide(package: Package, name: str, page: int, bounds: Bounds) -> Iterator[Block]:
    root = tree(io.BytesIO(package.read(name)))
    shapes = root.find(f"{_P}cSld/{_P}spTree")
    blocks = list(_shapes(shapes, page, bounds, 0)) if shapes is not None else []
    titles = [block for block in blocks if block.kind == "heading"]
    if not titles:
        yield Block("heading", f"Slide {page}", level=1, page=page, silent=True)
    yield from titles
    yield from (block for block in blocks if block.kind != "heading")
    for kind, target in package.related(name).values():
        if kind == "notesSlide" and target in package:
            notes = "\n".join(_lines_of_notes(tree(io.BytesIO(package.read(target)))))
            if notes.strip():
                yield Block("text", f"Notes: {notes.strip()}", page=page)


def _shapes(group: Element, page: int, bounds: Bounds, depth: int) -> Iterator[Block]:
    for shape in group:
        if shape.tag == f"{_P}grpSp" and depth < _DEEPEST:
            yield from _shapes(shape, page, bounds, depth + 1)
        elif shape.tag == f"{_P}graphicFrame":
            for table in shape.iter(f"{_A}tbl"):
                yield from table_blocks(_rows(table), bounds, page)
        elif shape.tag == f"{_P}sp":
            lines = list(_lines(shape))
            text = "\n".join(line for line, _ in lines)
            if not text.strip():
                continue
            if _placeholder(shape) in {"title", "ctrTitle"}:
                yield Block("heading", one_line(text), level=1, page=page)
            elif len(lines) > 1:
                yield Block("list", "\n".join(f"{'  ' * level}- {line}" for line, level in lines), page=page)
            else:
                yield Block("text", text, page=page)


def _lines(element: Element) -> Iterator[tuple[str, int]]:
    """Yield the paragraphs of a shape with their level."""
    for paragraph in element.iter(f"{_A}p"):
        text = clean("".join(_runs(paragraph))).strip()
        if text:
            properties = paragraph.find(f"{_A}pPr")
            level = properties.get("lvl", "0") if properties is not None else "0"
            yield " ".join(text.split()), min(int(level), 6) if level.isdigit() else 0


def _runs(paragraph: Element) -> Iterator[str]:
    for part in paragraph.iter():
        if part.tag == f"{_A}t":
            yield part.text or ""
        elif part.tag in {f"{_A}br", f"{_A}tab"}:
            yield " "


def _rows(table: Element) -> Iterator[list[str]]:
    for row in table.iter(f"{_A}tr"):
        yield [" ".join(line for line, _ in _lines(cell)) for cell in row.findall(f"{_A}tc")]


def _lines_of_notes(root: Element) -> Iterator[str]:
    for shape in root.iter(f"{_P}sp"):
        if _placeholder(shape) == "body":
            yield from (line for line, _ in _lines(shape))


def _placeholder(shape: Element) -> str:
    found = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
    return found.get("type", "body") if found is not None else ""
