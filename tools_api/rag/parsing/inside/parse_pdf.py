"""PDF: paragraphs by the gaps between lines, headings by the outline and by the size of the print, pages as they are.

What repeats at the edges of most pages (running titles, page numbers) is left out. A page without any text is a
picture of one: tesseract reads it, if there is one.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from statistics import median

from blocks import Block, Bounds, Content, Refused, facts, one_line
from parse_image import NEEDS_OCR, can_read, read_picture
from pdf_lines import Bookmark, Line, Pdf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DIGITS = re.compile(r"\d+|\b[ivxlc]+\b")
_LARGER = 1.12
_LONGEST_HEADING = 150
_MOST_HEADING_LINES = 3
_CLOSE = 1.4
_EDGE_LINES = 2
_LEADERS = re.compile(r"(?:[ .]\.){4,}[ .]*")
_SPACES = re.compile(r"\s+")
_NUMBERING = re.compile(r"^(?:chapter|section|appendix)?[\s\d.:A-Z–-]*?(?=[^\W\d_]{2})", re.IGNORECASE)
_LIST_ITEM = re.compile(r"(?:[•▪◦–*·●■-]|\(?\d{1,2}[.)]|\(?[a-z][.)])\s+\S")


def parse_pdf(data: bytes, bounds: Bounds) -> Content:
    """Parse a PDF. Raises `Refused`, and pdfium's own errors for pages that are damaged."""
    pdf = Pdf(data, bounds)
    pages: list[list[Line]] = []
    characters = 0
    for page in range(1, pdf.pages + 1):
        pages.append(pdf.lines(page))
        characters += sum(len(line.text) for line in pages[-1])
        bounds.check_characters(characters)
    _leave_out_edges(pages)
    levels = _levels(pages)
    outline = list(pdf.bookmarks())
    blocks: list[Block] = []
    unread = 0
    for page, lines in enumerate(pages, start=1):
        marks = [mark for mark in outline if mark.page == page]
        if lines:
            blocks += _page(lines, levels, marks)
        elif can_read():
            blocks += read_picture(pdf.picture(page), page)
        else:
            unread += 1
    if not blocks and unread:
        raise Refused("needs_ocr", NEEDS_OCR)
    return _content(pdf, blocks, unread)


def _content(pdf: Pdf, blocks: list[Block], unread: int) -> Content:
    said = pdf.metadata()
    metadata = facts(
        {
            "author": said.get("Author"),
            "subject": said.get("Subject"),
            "created": _date(said.get("CreationDate", "")),
            "modified": _date(said.get("ModDate", "")),
            "pages_not_read": unread or None,
        }
    )
    title = one_line(said.get("Title", ""))
    if not title or "." in title[-5:] or title.lower().startswith(("microsoft word", "untitled")):
        first = [block for block in blocks if block.kind == "heading" and block.page == 1]
        title = min(first, key=lambda block: block.level).text if first else title
    return Content("application/pdf", blocks, title=title or None, pages=pdf.pages, metadata=metadata)


def _date(said: str) -> str | None:
    found = re.match(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?", said)
    return "-".join(part for part in found.groups() if part) if found else None


def _leave_out_edges(pages: list[list[Line]]) -> None:
    """Take out lines that stand first or last on most pages, whatever number is in them."""
    if len(pages) < 4:
        return
    seen: Counter[str] = Counter()
    for lines in pages:
        seen.update({_shape(line) for line in _edges(lines)})
    usual = {shape for shape, times in seen.items() if times >= 4 and 3 * times > len(pages)}
    for number, lines in enumerate(pages):
        edges = {id(line) for line in _edges(lines) if _shape(line) in usual}
        if len(edges) < len(lines) or len(usual) < 3:
            pages[number] = [line for line in lines if id(line) not in edges] or lines


def _edges(lines: list[Line]) -> list[Line]:
    return lines[:_EDGE_LINES] + lines[max(_EDGE_LINES, len(lines) - _EDGE_LINES) :]


def _shape(line: Line) -> str:
    return _DIGITS.sub("#", line.text[:100].lower())


def _levels(pages: list[list[Line]]) -> dict[float, int]:
    """Return the heading level of each size of print that is larger than what most of the text is printed in."""
    printed: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            printed[line.size] += len(line.text)
    if not printed:
        return {}
    usual = printed.most_common(1)[0][0]
    total = sum(printed.values())
    larger = sorted((size for size, n in printed.items() if size > _LARGER * usual and 5 * n < total), reverse=True)
    return {size: min(level, 4) for level, size in enumerate(larger, start=1)}


def _page(lines: list[Line], levels: dict[float, int], marks: list[Bookmark]) -> Iterator[Block]:
    known = {_key(mark.title): mark.level for mark in marks}
    unplaced = {_key(mark.title): mark for mark in marks}
    gaps = [one.base - other.base for one, other in pairwise(lines) if one.base > other.base]
    usual_gap = median(gaps) if gaps else 0.0
    paragraph: list[Line] = []
    for level, group in _headed(lines, levels, known):
        if level:
            yield from _flowing(paragraph)
            paragraph = []
            text = one_line(_joined(group))
            unplaced.pop(_key(text), None)
            yield Block("heading", text, level=level, page=group[0].page)
            continue
        line = group[0]
        if paragraph and _begins(line, paragraph[-1], usual_gap):
            yield from _flowing(paragraph)
            paragraph = []
        paragraph.append(line)
    yield from _flowing(paragraph)


def _headed(lines: list[Line], levels: dict[float, int], known: dict[str, int]) -> Iterator[tuple[int, list[Line]]]:
    """Yield headings with their level, which may take several lines, and other lines with 0."""
    number = 0
    while number < len(lines):
        taken, level = 1, 0
        for length in range(1, min(_MOST_HEADING_LINES, len(lines) - number) + 1):
            if not any(letter.isalpha() for letter in lines[number].text):
                break  # a page's number before a heading is none of its lines
            key = _key(" ".join(line.text for line in lines[number : number + length]))
            if key and key in known:
                taken, level = length, known[key]
                break
        if not level and (own := levels.get(lines[number].size)) and _may_be_heading(lines[number].text):
            level = own
            size = lines[number].size
            while taken < _MOST_HEADING_LINES and _goes_on(lines, number + taken, size):
                taken += 1
        yield level, lines[number : number + taken]
        number += taken


def _goes_on(lines: list[Line], number: int, size: float) -> bool:
    """Say whether a heading goes on in this line: it is as large, and close below."""
    if number >= len(lines) or lines[number].size != size:
        return False
    return 0 < lines[number - 1].base - lines[number].base < _CLOSE * size


def _may_be_heading(text: str) -> bool:
    letters = sum(letter.isalpha() for letter in text)
    return letters >= 2 and len(text) <= _LONGEST_HEADING and 2 * letters >= len(text.replace(" ", ""))


def _key(title: str) -> str:
    """Return what is compared of a heading: its words, without number and spaces."""
    plain = _NUMBERING.sub("", title.strip(), count=1) or title
    return _SPACES.sub("", plain).lower()[:200]


def _begins(line: Line, last: Line, usual_gap: float) -> bool:
    """Say whether a line begins a paragraph."""
    gap = last.base - line.base
    if gap > 1.35 * usual_gap or gap < -usual_gap or abs(line.size - last.size) > 1.0:
        return True
    if _LIST_ITEM.match(line.text):
        return False
    ends = last.text.endswith((".", ":", "!", "?", "”", '"'))
    return ends and line.left - last.left > max(5.0, line.size / 2) and gap > 0


def _flowing(lines: list[Line]) -> Iterator[Block]:
    if not lines:
        return
    items = [number for number, line in enumerate(lines) if _LIST_ITEM.match(line.text)]
    if len(items) > 1:
        starts = [0, *items] if items[0] else items
        parts = [_joined(lines[one:other]) for one, other in zip(starts, [*starts[1:], len(lines)], strict=True)]
        yield Block("list", "\n".join(part for part in parts if part), page=lines[0].page)
    elif text := _joined(lines):
        yield Block("text", text, page=lines[0].page)


def _joined(lines: list[Line]) -> str:
    """Join the lines of a paragraph, and the words that were parted at their ends."""
    text = ""
    for line in lines:
        if text.endswith("-") and len(text) > 1 and text[-2].isalpha() and line.text[:1].islower():
            text = text[:-1] + line.text
        else:
            text = f"{text} {line.text}" if text else line.text
    return _LEADERS.sub(" … ", text).strip()
