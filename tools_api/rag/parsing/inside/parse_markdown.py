"""Markdown: headings, lists, tables and code are found line by line; the text stays as it was written."""

from __future__ import annotations

import re

from blocks import Block, Content, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+|$)")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\S")
_RULE_CHARACTERS = frozenset("|-: \t")
_IMAGE = re.compile(r"!\[([^\[\]\n]{0,300})\]\([^()\n]{0,2000}\)")
_HIDDEN_BEGINS = re.compile(r"<!--|<(script|style)\b", re.IGNORECASE)
_LONGEST_HEADING = 300
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_FRONT_FIELD = re.compile(r"(title|author|date|description)[ \t]*:[ \t]*(.+)", re.IGNORECASE)


def parse_markdown(text: str, media_type: str = "text/markdown") -> Content:
    """Parse Markdown. Pictures become their description, comments and scripts are left out."""
    said: dict[str, str] = {}
    if front := _FRONT_MATTER.match(text):
        for found in _FRONT_FIELD.finditer(front[1]):
            said[found[1].lower()] = one_line(found[2].strip("\"' "), 500)
        text = text[front.end() :]
    if "<" in text:
        text = _without_hidden(text)
    if "![" in text:
        text = _IMAGE.sub(r"\1", text)
    blocks = list(_blocks(text.split("\n")))
    heading = next((block.text for block in blocks if block.kind == "heading"), None)
    title = said.pop("title", None) or heading
    return Content(media_type, blocks, title=title, metadata={**said})


def _blocks(lines: list[str]) -> Iterator[Block]:
    number = 0
    while number < len(lines):
        line = lines[number]
        if not line.strip():
            number += 1
        elif fence := _FENCE.match(line):
            end = _end_of_fence(lines, number, fence[1])
            yield Block("code", "\n".join(lines[number:end]).rstrip())
            number = end
        elif mark := _ATX.match(line):
            yield from _heading(line[mark.end() :].strip().rstrip("#").rstrip(), len(mark[1]))
            number += 1
        else:
            end = _end_of_paragraph(lines, number)
            yield from _paragraph(lines[number:end])
            number = end


def _end_of_fence(lines: list[str], start: int, fence: str) -> int:
    for number in range(start + 1, len(lines)):
        closing = lines[number].strip()
        if closing.startswith(fence) and not closing.strip(fence[0]):
            return number + 1
    return len(lines)


def _end_of_paragraph(lines: list[str], start: int) -> int:
    """Find where a paragraph ends; a list goes on over empty lines if what follows is indented or an item."""
    is_list = _ITEM.match(lines[start]) is not None
    number = start + 1
    while number < len(lines):
        line = lines[number]
        if _ATX.match(line) or (_FENCE.match(line) and not is_list):
            break
        if not line.strip():
            following = next((later for later in lines[number : number + 3] if later.strip()), "")
            if not (is_list and (_ITEM.match(following) or following.startswith(("  ", "\t")))):
                break
        number += 1
    return number


def _paragraph(lines: list[str]) -> Iterator[Block]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    if len(lines) > 1 and "|" in lines[0] and "-" in lines[1] and _RULE_CHARACTERS.issuperset(lines[1]):
        yield Block("table", "\n".join(lines), header="\n".join(lines[:2]))
        return
    if _ITEM.match(lines[0]):
        yield Block("list", "\n".join(lines))
        return
    if len(lines) > 1 and (rule := _SETEXT.match(lines[-1])):
        yield from _heading(" ".join(lines[:-1]).strip(), 1 if rule[1][0] == "=" else 2)
        return
    if len(lines) > 2 and (rule := _SETEXT.match(lines[1])):
        yield from _heading(lines[0].strip(), 1 if rule[1][0] == "=" else 2)
        yield from _paragraph(lines[2:])
        return
    yield Block("text", "\n".join(lines).strip())


def _heading(text: str, level: int) -> Iterator[Block]:
    if len(text) > _LONGEST_HEADING:
        yield Block("text", text)
    elif text := _plain(text):
        yield Block("heading", text, level=level)


def _plain(heading: str) -> str:
    """Take the marks out of a heading: emphasis, code, the address of a link."""
    heading = re.sub(r"\[([^\[\]]{1,200})\]\([^()]{0,300}\)", r"\1", heading)
    return one_line(re.sub(r"(?<!\w)[*_`]{1,3}|[*_`]{1,3}(?!\w)", "", heading))


def _without_hidden(text: str) -> str:
    """Leave out comments, scripts and styles; one that is never closed stays, as text."""
    kept: list[str] = []
    position = start = 0
    while begin := _HIDDEN_BEGINS.search(text, start):
        end = _end_of_hidden(text, begin)
        if end < 0:
            break  # and so are the ones after it, as far as a reader can tell
        kept.append(text[position : begin.start()])
        position = start = end
    return "".join([*kept, text[position:]])


def _end_of_hidden(text: str, begin: re.Match[str]) -> int:
    if begin[1] is None:
        end = text.find("-->", begin.end())
        return end + 3 if end >= 0 else -1
    closing = re.compile(rf"</{begin[1]}[ \t\n]*>", re.IGNORECASE).search(text, begin.end())
    return closing.end() if closing else -1
