"""Hands a file to the parser of its format, which is only imported then."""

from __future__ import annotations

from blocks import Bounds, Content, Refused
from kinds import TEXTS, kind_of


def parse(data: bytes, name: str, hint: str | None, bounds: Bounds, depth: int = 0) -> Content:
    """Parse a file. Raises `Refused`, or whatever the parser of its format raises for one that is damaged.

    `depth` counts the containers that it was found in: a message's attachments.
    """
    if not data.strip(b"\0 \t\r\n"):
        raise Refused("empty", "The file is empty.")
    kind, media_type = kind_of(data, name, hint)
    content = (
        _text(data, name, kind, bounds) if kind in TEXTS - {"eml"} else _other(data, kind, media_type, bounds, depth)
    )
    bounds.check_characters(sum(len(block.text) for block in content.blocks))
    return content


def _text(data: bytes, name: str, kind: str, bounds: Bounds) -> Content:
    from parse_text import decode, parse_text

    if len(data) > 4 * bounds.characters:
        bounds.check_characters(len(data))
    match kind:
        case "markdown":
            from parse_markdown import parse_markdown

            return parse_markdown(decode(data))
        case _:
            return parse_text(data)


def _other(data: bytes, kind: str, media_type: str, bounds: Bounds, depth: int) -> Content:
    raise Refused("unsupported", f"Files of this kind ({media_type}) can't be read.")
