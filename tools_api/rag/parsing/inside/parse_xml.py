"""XML of any kind: the text of its elements, each on a line. Of SVG the words that a reader sees."""

from __future__ import annotations

import io

from blocks import Block, Bounds, Content, Refused, clean
from xml_events import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from xml_events import Element

_SVG_WORDS = {"text", "title", "desc", "tspan"}
_SVG_UNSEEN = {"foreignObject", "script", "style", "metadata"}
_LINES_A_BLOCK = 40


def parse_xml(data: bytes, bounds: Bounds) -> Content:
    """Parse XML. Raises `Refused` and `ParseError`."""
    lines: list[str] = []
    characters = 0
    for line in _lines(io.BytesIO(data)):
        characters += len(line)
        bounds.check_characters(characters)
        lines.append(line)
    if not lines:
        raise Refused("empty", "There is no text in it.")
    groups = [lines[first : first + _LINES_A_BLOCK] for first in range(0, len(lines), _LINES_A_BLOCK)]
    return Content("application/xml", [Block("list", "\n".join(group)) for group in groups])


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Yield the text that stands between two tags, in order."""
    open_elements: list[Element] = []
    for event, element in events(stream, allow_doctype=True):
        parent = open_elements[-1] if open_elements and event == "start" else element
        text = parent[-2 if event == "start" else -1].tail if len(parent) > (event == "start") else parent.text
        if text and text.strip() and (parent is not element or event == "end") and _is_seen(open_elements):
            yield " ".join(clean(text).split())
        if event == "start":
            open_elements.append(element)
        else:
            open_elements.pop()
            for child in element:
                child.clear()


def _is_seen(open_elements: list[Element]) -> bool:
    """Say whether a reader sees text here: in a drawing, only words that are drawn as such."""
    names = [element.tag.rpartition("}")[2] for element in open_elements]
    return "svg" not in names[:1] or (names[-1] in _SVG_WORDS and not _SVG_UNSEEN.intersection(names))
