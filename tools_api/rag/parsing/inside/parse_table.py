"""CSV and its like: which character separates the cells is found out, not believed."""

from __future__ import annotations

import csv
import io

from blocks import Bounds, Content
from tables import table_blocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SEPARATORS = ",;\t|"
_SAMPLE_LINES = 50


def parse_csv(text: str, bounds: Bounds) -> Content:
    """Parse a table of text."""
    csv.field_size_limit(min(bounds.characters, 1 << 30))
    blocks = list(table_blocks(_rows(text), bounds))
    return Content("text/csv", blocks)


def _rows(text: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text), delimiter=_separator(text), strict=False)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:  # a quote that never ends, say: what can be read is read
            return


def _separator(text: str) -> str:
    """Return the character that separates most lines into the same number of cells, more than one."""
    lines = text[:100_000].split("\n")[:_SAMPLE_LINES]

    def fit(separator: str) -> tuple[int, int]:
        counts = [line.count(separator) for line in lines if line.strip()]
        usual = max(set(counts), key=counts.count, default=0)
        return (counts.count(usual) if usual else 0, usual)

    return max(_SEPARATORS, key=fit)
