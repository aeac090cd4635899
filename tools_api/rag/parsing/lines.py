"""Reads what a run says: lines of JSON that hostile code may have written. They are checked, not believed."""

import math
import re
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from tools_api.rag.parsing.values import Bounds
from tools_api.rag.values import Chunk, ParsedDocument, ParseFailure

_MAX_LINE = 2 << 20
_MAX_GAP = 2
"""Characters between two chunks: two line breaks at most."""
_CODE = re.compile(r"[a-z_]{1,32}")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,64}/[A-Za-z0-9.+-]{1,100}")
_MAX_METADATA = 40
_RETRYABLE = {"memory", "timeout", "unavailable"}


class Forged(Exception):
    """It is not what our own script says."""


@dataclass(slots=True)
class LineBuffer:
    """Cuts a stream of bytes into lines. Raises `Forged` for one without end."""

    _held: bytearray = field(default_factory=bytearray)

    def add(self, piece: bytes) -> list[bytes]:
        """Take what came; return the lines that are whole now."""
        *whole, rest = piece.split(b"\n")
        if not whole:
            self._held += rest
        else:
            whole[0] = bytes(self._held) + whole[0]
            self._held = bytearray(rest)
        if len(self._held) > _MAX_LINE:
            raise Forged("a line without end")
        return whole


class DocumentReader:
    """Puts one file's result together, line by line."""

    def __init__(self, number: int, bounds: Bounds, chunk_tokens: int) -> None:
        self._number = number
        self._bounds = bounds
        self._most_characters = chunk_tokens * 16 + 200
        self._head: dict[str, Any] | None = None
        self._chunks: list[Chunk] = []
        self._characters = 0

    def read(self, line: bytes) -> ParsedDocument | ParseFailure | None:
        """Read a line; return the result when it is complete. Raises `Forged`."""
        said = read_line(line)
        if said.get("file") != self._number:
            raise Forged("it speaks of another file")
        if "failure" in said:
            return _failure(said["failure"])
        if "document" in said and self._head is None:
            self._head = _mapping(said["document"])
        elif "chunks" in said and self._head is not None:
            for item in _list(said["chunks"]):
                self._chunks.append(self._chunk(_list(item)))
        elif "end" in said and self._head is not None:
            return self._document(self._head)
        else:
            raise Forged("a line out of order")
        return None

    def _chunk(self, item: list[Any]) -> Chunk:
        if len(item) != 6:
            raise Forged("a chunk with other fields")
        text, start, end, page, page_end, headings = item
        last_end = self._chunks[-1].end if self._chunks else 0
        if not isinstance(text, str) or not isinstance(start, int) or not isinstance(end, int):
            raise Forged("a chunk of other types")
        if not text.strip() or len(text) > self._most_characters or "\0" in text:
            raise Forged("a chunk without text, or with too much")
        if end - start != len(text) or not 0 <= start - last_end <= _MAX_GAP:
            raise Forged("a chunk in another place")
        self._characters += len(text)
        if self._characters > 2 * self._bounds.characters:  # a table's header counts once in each of its pieces
            raise Forged("more text than a file may have")
        first, last = _page(page), _page(page_end)
        if (first is None) != (last is None) or (first or 0) > (last or 0):
            raise Forged("pages in disorder")
        return Chunk(
            ordinal=len(self._chunks),
            text=text,
            start=start,
            end=end,
            page=first,
            page_end=last,
            headings=tuple(_text(heading, 200) for heading in _list(headings, most=6)),
        )

    def _document(self, head: dict[str, Any]) -> ParsedDocument:
        if not self._chunks:
            raise Forged("a document without text")
        media_type = _text(head.get("media_type"), 200)
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise Forged("no media type")
        title = head.get("title")
        return ParsedDocument(
            media_type=media_type,
            chunks=tuple(self._chunks),
            title=_text(title, 300) if title is not None else None,
            pages=_page(head.get("pages")),
            metadata=_metadata(_mapping(head.get("metadata"))),
        )


def read_line(line: bytes) -> dict[str, Any]:
    """Decode a line. Raises `Forged`."""
    try:
        return _mapping(orjson.loads(line))
    except orjson.JSONDecodeError:
        raise Forged("a line that is no JSON") from None


def _failure(said: Any) -> ParseFailure:
    code, message = [*_list(said, most=2), None, None][:2]
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise Forged("a failure of another kind")
    return ParseFailure(code=code, message=_text(message, 500), retryable=code in _RETRYABLE)


def _metadata(said: dict[str, Any]) -> dict[str, str | int | float | bool]:
    if len(said) > _MAX_METADATA:
        raise Forged("too much metadata")
    return {_text(name, 60): _plain(value) for name, value in said.items()}


def _plain(value: Any) -> str | int | float | bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 1 << 53:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _text(value, 500)


def _page(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and 1 <= value <= 10_000_000:
        return value
    raise Forged("no page")


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        raise Forged("no text, or too much of it")
    return value


def _list(value: Any, most: int = 10_000) -> list[Any]:
    if not isinstance(value, list) or len(cast("list[Any]", value)) > most:
        raise Forged("no list, or too long")
    return cast("list[Any]", value)


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Forged("no object")
    return cast("dict[str, Any]", value)
