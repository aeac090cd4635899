"""Tables as text: a row on a line, cells between bars, the first row as the header that is repeated."""

from __future__ import annotations

from blocks import Block, Bounds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_ROWS_A_BLOCK = 5000
_LONGEST_HEADER = 2000


def table_blocks(rows: Iterable[Sequence[str]], bounds: Bounds, page: int | None = None) -> Iterator[Block]:
    """Yield a table's blocks; empty rows and the empty cells at a row's end are left out.

    Raises `Refused` as soon as there is more text than one file may have.
    """
    header, lines, characters = "", list[str](), 0
    for row in rows:
        line = _line(row)
        if not line:
            continue
        characters += len(line)
        bounds.check_characters(characters)
        if not header:
            header = line[:_LONGEST_HEADER]
        lines.append(line)
        if len(lines) >= _ROWS_A_BLOCK:
            yield Block("table", "\n".join(lines), page=page, header=header)
            lines = [header]
    if len(lines) > 1 or (lines and lines[0] != header) or (lines and characters == len(lines[0])):
        yield Block("table", "\n".join(lines), page=page, header=header)


def _line(row: Sequence[str]) -> str:
    cells = [" ".join(cell.split()) for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return " | ".join(cells).strip()
