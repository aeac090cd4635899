"""Reads XML of strangers piece by piece: no document type (so no entities), no depth, no size beyond the bounds."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from blocks import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    Element = ET.Element

_DEEPEST = 200
_HEAD = 1 << 16
_BEFORE_ROOT = re.compile(r"(?:\ufeff|\s|<\?(?:(?!\?>).)*\?>|<!--(?:(?!-->).)*-->)*", re.DOTALL)
_PLAIN_DOCTYPE = re.compile(r"<!DOCTYPE[^\[<>]{0,1000}>", re.IGNORECASE)


def events(stream: IO[bytes], *, allow_doctype: bool = False) -> Iterator[tuple[str, Element]]:
    """Yield `start` and `end` of each element. Whoever reads them clears what is done.

    With `allow_doctype` one without declarations of its own may be there; what it names is never fetched.
    Raises `Refused`, and `ET.ParseError` for what is no XML.
    """
    guarded = _Guarded(stream, allow_doctype)
    depth = 0
    for event, element in ET.iterparse(guarded, events=("start", "end")):  # noqa: S314 - see above
        depth += 1 if event == "start" else -1
        if depth > _DEEPEST:
            raise Refused("too_complex", "Its XML is nested too deeply to be read.")
        yield event, element


def tree(stream: IO[bytes]) -> Element:
    """Read a small document as a whole."""
    root: Element | None = None
    for _, element in events(stream):
        root = element if root is None else root
    if root is None:
        raise Refused("broken", "A part of the file is empty.")
    return root


class _Guarded:
    """A stream whose beginning was looked at before the parser sees it."""

    def __init__(self, stream: IO[bytes], allow_doctype: bool) -> None:
        self._stream = stream
        self._head = stream.read(_HEAD)
        _check_head(self._head, allow_doctype)

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._stream.read(size)


def _check_head(head: bytes, allow_doctype: bool) -> None:
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")) else "utf-8"
    text = head.decode(encoding, "replace")
    before = _BEFORE_ROOT.match(text)
    rest = text[before.end() if before else 0 :]
    if not rest.startswith("<!"):
        return
    if allow_doctype and _PLAIN_DOCTYPE.match(rest):
        return
    raise Refused("unsafe", "Its XML declares a document type of its own, which is not read.")
