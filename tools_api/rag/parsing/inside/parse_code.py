"""Source code: cut at its top-level definitions, whose names are the headings. The text stays as it was written."""

from __future__ import annotations

import re
from itertools import pairwise

from blocks import Block, Content, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_KEYWORDS = (
    r"class|struct|enum|interface|trait|impl|module|namespace|object|record|protocol|extension|type|union|mixin|"
    r"def|func|fn|fun|function|sub|macro|macro_rules!|const|let|var|val|"
    r"resource|data|service|message|rpc|query|mutation|procedure|package"
)
_MODIFIERS = (
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|sealed|async|pub(?:\([a-z]+\))?|unsafe|"
    r"extern|inline|virtual|override|open|partial|readonly|declare|suspend|case|data)\s+){0,6}"
)
_DEFINITION = re.compile(
    rf"{_MODIFIERS}(?:{_KEYWORDS})\b[ \t]*(?:\([^()\n]{{0,100}}\)[ \t]*)?\*?[ \t]*([\w$.:<>\"-]{{1,100}})"
)
_C_FUNCTION = re.compile(r"[A-Za-z_][\w \t*&:<>,]{0,200}?[ \t*&]([A-Za-z_~][\w:~]{0,99})[ \t]*\([^;]{0,500}$")
_SQL = re.compile(
    r"(?:create|alter)\s+(?:or\s+replace\s+)?(?:table|view|function|procedure|index|trigger)\s+([\w.\"`]{1,100})", re.I
)
_SECTION = re.compile(r"\[{1,2}([^\[\]\n]{1,100})\]{1,2}\s*$")
_NOT_C = re.compile(r"\s*(?:if|for|while|switch|return|else|do|case|using|import|include|typedef\s*$)\b")
_ATTACHED = re.compile(r"(?:@|#\[|//|/\*|\*|--|#(?!include|define|if|end)|'''|\"\"\"|\[[A-Z])")


def parse_code(text: str) -> Content:
    """Parse source code of any language whose definitions begin at the left edge."""
    lines = text.split("\n")
    starts = list(_definitions(lines))
    blocks: list[Block] = []
    first = starts[0][0] if starts else len(lines)
    _add(blocks, None, lines[:first])
    for (start, name), (end, _) in pairwise([*starts, (len(lines), "")]):
        _add(blocks, name, lines[start:end])
    return Content("text/x-source", blocks)


def _add(blocks: list[Block], name: str | None, lines: list[str]) -> None:
    text = "\n".join(line.rstrip() for line in lines).strip("\n")
    if text.strip():
        blocks.append(Block("heading", name or "", level=1, silent=True))
        blocks.append(Block("code", text))


def _definitions(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the line where each definition begins, with its comments and decorators, and its name."""
    taken = 0
    for number, line in enumerate(lines):
        name = _name_in(line)
        if name is None:
            continue
        start = number
        while start > taken and lines[start - 1].strip() and _ATTACHED.match(lines[start - 1]):
            start -= 1
        taken = number + 1
        yield start, one_line(name.strip("\"'`:"), 100)


def _name_in(line: str) -> str | None:
    """Return the name that a line at the left edge defines."""
    if not line or line[0] in " \t#/*})]" or len(line) > 1000:
        return None
    if found := _DEFINITION.match(line) or _SQL.match(line) or _SECTION.match(line):
        return found[1]
    if (
        "(" in line
        and not _NOT_C.match(line)
        and "=" not in line.partition("(")[0]
        and (found := _C_FUNCTION.match(line))
    ):
        return found[1]
    return None
