"""The text of a passage as an encoder sees it. Used on both sides of the sandbox's wall; imports nothing of ours."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_PART = 80
"""Characters of a title or heading that are embedded."""
MOST_HEADINGS = 3
_FIRST_LINES = 6


def embedded_text(title: str | None, headings: Sequence[str], text: str) -> str:
    """Return `title > headings`, a line break and the text: where it stands tells a model what a passage is about.

    Of many headings the innermost ones are used; one that the text begins with anyway is not said twice.
    """
    if prefix := embedded_prefix(title, headings, text):
        return f"{prefix}\n{text}"
    return text


def embedded_prefix(title: str | None, headings: Sequence[str], text: str = "") -> str:
    """Return what comes before the text; it depends on the text's first lines only."""
    first_lines = (
        {line.strip() for line in text[:1000].split("\n", _FIRST_LINES)[:_FIRST_LINES]} if text else set[str]()
    )
    parts: list[str] = []
    for part in (title or "", *headings[-MOST_HEADINGS:]):
        if part and part not in first_lines and part not in parts:
            parts.append(part)
    return " > ".join(part[:LONGEST_PART].rstrip() for part in parts)
