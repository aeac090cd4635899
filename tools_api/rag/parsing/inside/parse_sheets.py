"""Spreadsheets (XLSX, XLS, ODS): a page for each sheet, its rows as a table. Read by calamine, a compiled library."""

from __future__ import annotations

import datetime as dt
import io
import re

from blocks import Block, Bounds, Content, Refused, clean, one_line
from tables import table_blocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MOST_CELLS = 20_000_000
_ROW = re.compile(rb'<(?:\w+:)?c [^>]{0,200}?\br="([A-Z]{1,3})(\d{1,7})"')


def parse_sheets(data: bytes, kind: str, media_type: str, bounds: Bounds) -> Content:
    """Parse a spreadsheet. Raises `Refused`, and the library's own errors for one that is damaged."""
    try:
        from python_calamine import CalamineWorkbook
    except ImportError:
        raise Refused(
            "unsupported", "Spreadsheets can't be read on this server: its sandbox runs no compiled code."
        ) from None
    metadata = _checked_package(data, bounds) if kind in {"xlsx", "ods"} else {}
    book: Any = CalamineWorkbook.from_filelike(io.BytesIO(data))
    names: list[str] = book.sheet_names
    bounds.check_pages(len(names))
    blocks: list[Block] = []
    for page, name in enumerate(names, start=1):
        rows = list(table_blocks(_rows(book.get_sheet_by_name(name)), bounds, page))
        if rows:
            blocks.append(Block("heading", one_line(name) or f"Sheet {page}", level=1, page=page))
            blocks += rows
            bounds.check_characters(sum(len(block.text) for block in blocks))
    title = str(metadata.pop("title", "")) or None
    return Content(media_type, blocks, title=title, pages=len(names) or None, metadata=metadata)


def _checked_package(data: bytes, bounds: Bounds) -> dict[str, Any]:
    """Refuse bombs, and sheets that say to be larger than memory: the library keeps a place for every cell."""
    from office import Package

    package = Package(data, bounds)
    for name in package.names:
        if name.startswith("xl/worksheets/") and name.endswith(".xml"):
            with package.open(name) as part:
                _check_area(part)
    return package.facts()


def _check_area(part: Any) -> None:
    rows = columns = 0
    rest = b""
    while piece := part.read(1 << 20):
        for column, row in _ROW.findall(rest + piece):
            rows = max(rows, int(row))
            columns = max(columns, _number(column))
        if rows * columns > _MOST_CELLS:
            raise Refused(
                "too_large", f"A sheet reaches over {rows} rows and {columns} columns. Delete what is far out."
            )
        rest = piece[-300:]


def _number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - 64
    return number


def _rows(sheet: Any) -> Iterator[list[str]]:
    for row in sheet.iter_rows():
        yield [_shown(cell) for cell in row]


def _shown(cell: object) -> str:
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, dt.datetime) and cell.time() == dt.time(0):
        return cell.date().isoformat()
    if isinstance(cell, (dt.date, dt.time)):
        return cell.isoformat(" ") if isinstance(cell, dt.datetime) else cell.isoformat()
    return clean(str(cell)) if cell is not None else ""
