"""HTML: what a reader sees of it. Scripts, styles, comments and hidden elements are left out; nothing is fetched."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from blocks import Block, Content, clean, one_line
from tables import table_blocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks import Bounds, Kind

    Attributes = Sequence[tuple[str, str | None]]

_UNSEEN_TAGS = """
script style template noscript head iframe object embed applet audio video canvas svg math select datalist nav
dialog frameset textarea button
"""
_UNSEEN = frozenset(_UNSEEN_TAGS.split())
_VOID_TAGS = """
area base br col embed hr img input link meta param source track wbr
"""
_VOID = frozenset(_VOID_TAGS.split())
_BLOCK_TAGS = """
p div section article main header footer aside address blockquote figure figcaption fieldset form dl dt dd ul ol
table hr details summary body html center
"""
_BREAKS = frozenset(_BLOCK_TAGS.split())
_HIDING = ("display:none", "visibility:hidden", "font-size:0;", "font-size:0px", "opacity:0;", "mso-hide:all")
_CLOSED_BY = {"p": {"p"}, "li": {"li"}, "tr": {"tr", "td", "th"}, "td": {"td", "th"}, "th": {"td", "th"}}
_DEEPEST = 2000
_DECLARATION = re.compile(r"<!--|<[!?]")


def parse_html(text: str, bounds: Bounds, page: int | None = None) -> Content:
    """Parse a page of HTML."""
    reader = _Reader(bounds, page)
    reader.feed(without_declarations(text))
    reader.close()
    reader.finish()
    title = one_line(reader.title) or next((block.text for block in reader.blocks if block.kind == "heading"), None)
    return Content("text/html", reader.blocks, title=title, metadata={**reader.metadata})


def without_declarations(text: str) -> str:
    """Leave out comments and declarations, and what is never closed: for a parser each of these costs a search to the
    end of the text, and there may be a hundred thousand."""
    kept: list[str] = []
    position = 0
    while found := _DECLARATION.search(text, position):
        kept.append(text[position : found.start()])
        closing = "-->" if found[0] == "<!--" else ">"
        end = text.find(closing, found.end())
        if end < 0:
            position = len(text)
            break
        position = end + len(closing)
    kept.append(text[position:])
    whole, last, rest = "".join(kept).rpartition(">")
    return whole + last + rest.replace("<", " ")


class _Reader(HTMLParser):
    def __init__(self, bounds: Bounds, page: int | None) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.title = ""
        self.metadata: dict[str, str] = {}
        self._bounds = bounds
        self._page = page
        self._text: list[str] = []
        self._characters = 0
        self._unseen: list[str] = []
        """Open elements from the first one on that hides what is in it."""
        self._in_title = False
        self._heading = 0
        self._pre = 0
        self._items: list[str] = []
        self._lists = 0
        self._rows: list[list[str]] | None = None
        self._tables = 0
        self._link = ""

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        if tag == "title" and not self.title:
            self._in_title = True
        if tag == "meta":
            self._note(dict(attrs))
        if self._unseen or tag in _UNSEEN or _is_hidden(attrs):
            if tag not in _VOID and len(self._unseen) < _DEEPEST:
                self._unseen.append(tag)
            return
        if tag == "br":
            self._text.append("\n")
        elif tag == "img":
            self._text.append(f" {next((value for name, value in attrs if name == 'alt' and value), '')} ")
        elif self._rows is not None:
            self._start_in_table(tag)
        else:
            self._start(tag)

    def _start(self, tag: str) -> None:
        if len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
            self._flush()
            self._heading = int(tag[1])
        elif tag == "pre":
            self._flush()
            self._pre += 1
        elif tag in {"ul", "ol", "dl"}:
            self._flush_item()
            self._lists += 1
        elif tag in {"li", "dt"} or (tag == "dd" and not self._lists):
            self._flush_item()
        elif tag == "table":
            self._flush()
            self._rows, self._tables = [], 1
        elif tag in _BREAKS:
            self._flush() if not self._lists else self._text.append("\n")

    def _start_in_table(self, tag: str) -> None:
        rows = self._rows if self._rows is not None else []
        if tag == "table":
            self._tables += 1
        elif tag == "tr" and self._tables == 1:
            self._close_cell()
            rows.append([])
        elif tag in {"td", "th"} and self._tables == 1:
            self._close_cell()
            if not rows:
                rows.append([])
            rows[-1].append("")
        else:
            self._text.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"title", "head"}:
            self._in_title = False
        if self._unseen:
            if tag in self._unseen:
                while self._unseen.pop() != tag:
                    pass
            return
        if self._rows is not None:
            self._end_in_table(tag)
        else:
            self._end(tag)

    def _end(self, tag: str) -> None:
        if self._heading and tag == f"h{self._heading}":
            self._flush()
        elif tag == "pre":
            self._flush()
            self._pre = max(0, self._pre - 1)
        elif tag in {"ul", "ol", "dl"}:
            self._flush_item()
            self._lists = max(0, self._lists - 1)
            if not self._lists:
                self._flush()
        elif tag in _BREAKS:
            self._flush() if not self._lists else self._text.append("\n")

    def _end_in_table(self, tag: str) -> None:
        if tag == "table":
            self._tables -= 1
            if self._tables <= 0:
                self._flush()
        elif tag in {"td", "th", "p", "div", "li"}:
            self._text.append(" ")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data[: 1000 - len(self.title)] if len(self.title) < 1000 else ""
        if self._unseen:
            return
        self._characters += len(data)
        self._bounds.check_characters(self._characters)
        self._text.append(data if self._pre else data.replace("\n", " "))

    def finish(self) -> None:
        """Take what is left at the end."""
        self._flush()

    def _note(self, said: dict[str, str | None]) -> None:
        name = (said.get("name") or "").lower()
        if name in {"author", "description", "date", "keywords"} and said.get("content"):
            self.metadata[name] = one_line(said["content"] or "", 500)

    def _taken(self) -> str:
        text = clean("".join(self._text))
        self._text = []
        if self._pre:
            return text.strip("\n").rstrip()
        return "\n".join(filter(None, (" ".join(line.split()) for line in text.split("\n"))))

    def _close_cell(self) -> None:
        text = self._taken()
        if self._rows and self._rows[-1] and text:
            self._rows[-1][-1] = text
        elif text and self._rows is not None:
            self._rows.append([text])

    def _flush_item(self) -> None:
        if text := self._taken():
            if self._lists:
                self._items.append(f"{'  ' * (min(self._lists, 6) - 1)}- {text}")
            else:
                self._add("text", text)

    def _flush(self) -> None:
        if self._rows is not None:
            self._close_cell()
            rows, self._rows, self._tables = self._rows, None, 0
            self.blocks.extend(table_blocks(rows, self._bounds, self._page))
            return
        if self._lists or self._items:
            self._flush_item()
            if self._items:
                self._add("list", "\n".join(self._items))
                self._items = []
        text = self._taken()
        if text and self._heading:
            self.blocks.append(Block("heading", one_line(text), level=self._heading, page=self._page))
        elif text:
            self._add("code" if self._pre else "text", text)
        self._heading = 0

    def _add(self, kind: Kind, text: str) -> None:
        self.blocks.append(Block(kind, text, page=self._page))


def _is_hidden(attributes: Attributes) -> bool:
    for name, value in attributes:
        if name == "hidden" or (name == "role" and value == "navigation"):
            return True
        if name == "style" and value:
            style = "".join(value.lower().split()) + ";"
            if any(way in style for way in _HIDING):
                return True
    return False
