"""Read `multipart/form-data` (RFC 7578) as it arrives: files go to a sink piece by piece, and nothing is collected.

The fields are `file`, any number of times, and `metadata`, a JSON object, at most once.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from shared.errors import InvalidRequest

MAX_METADATA_BYTES = 65_536
_MAX_HEADERS = 8
_MAX_HEADER_BYTES = 4096
_MAX_BOUNDARY = 70


class Sink(Protocol):
    """Takes the files of an upload, one after the other. Any of its methods may refuse what comes."""

    async def begin(self, name: str, media_type: str | None) -> None: ...

    async def write(self, data: bytes) -> None: ...

    async def end(self) -> None: ...


@dataclass(slots=True)
class _Part:
    """The headers of a part: what of them matters."""

    disposition: bytes = b""
    media_type: bytes = b""


async def read_form(body: AsyncIterator[bytes], content_type: str, sink: Sink) -> bytes | None:
    """Hand the files of a form to `sink` and return its field `metadata`. Raises `InvalidRequest`."""
    form = _Form(_boundary(content_type), sink)
    async for data in body:
        await form.feed(data)
    return form.finish()


def _boundary(content_type: str) -> bytes:
    media_type, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not 0 < len(boundary) <= _MAX_BOUNDARY:
        raise InvalidRequest(
            "Send files as multipart/form-data, in fields named `file`, with a boundary of at most 70 characters; "
            "or a text as JSON, with `Content-Type: application/json`."
        )
    return boundary


class _Form:
    """The parser calls back from inside `write`; what it says is noted there and acted upon afterwards."""

    def __init__(self, boundary: bytes, sink: Sink) -> None:
        self._sink = sink
        self._noted: list[_Part | bytes | None] = []
        """A part's headers, then its data in pieces, then None."""
        self._part = _Part()
        self._header, self._value = b"", b""
        self._field = b""
        self._metadata: bytearray | None = None
        self._whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": lambda: self._noted.append(self._part),
                "on_part_data": lambda data, start, end: self._noted.append(data[start:end]),
                "on_part_end": lambda: self._noted.append(None),
                "on_end": self._on_end,
            },
            max_header_count=_MAX_HEADERS,
            max_header_size=_MAX_HEADER_BYTES,
        )

    async def feed(self, data: bytes) -> None:
        """Take a piece of the body."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InvalidRequest(f"The form is broken: {str(error)[:200]}.") from None
        noted, self._noted = self._noted, []
        for item in noted:
            if isinstance(item, _Part):
                await self._begin(item)
            elif item is None:
                await self._end()
            else:
                await self._take(item)

    def finish(self) -> bytes | None:
        """Return the field `metadata`. Raises `InvalidRequest` if the form is not whole."""
        if not self._whole:
            raise InvalidRequest("The form breaks off: its last boundary is missing.")
        return None if self._metadata is None else bytes(self._metadata)

    async def _begin(self, part: _Part) -> None:
        kind, options = parse_options_header(part.disposition.decode("latin-1"))
        self._field = options.get(b"name", b"")
        if kind != b"form-data" or self._field not in {b"file", b"metadata"}:
            raise InvalidRequest(
                "The form has the fields `file`, one for each file, and `metadata`; there are no others."
            )
        if self._field == b"metadata":
            if self._metadata is not None:
                raise InvalidRequest("The form has more than one field `metadata`.", param="metadata")
            self._metadata = bytearray()
            return
        if not options.get(b"filename"):
            raise InvalidRequest("Every field `file` has a file name.", param="file")
        await self._sink.begin(_text(options[b"filename"]), _text(part.media_type) or None)

    async def _take(self, data: bytes) -> None:
        if self._field == b"file":
            await self._sink.write(data)
        elif self._metadata is not None:
            self._metadata += data
            if len(self._metadata) > MAX_METADATA_BYTES:
                raise InvalidRequest(f"The field has more than {MAX_METADATA_BYTES} bytes.", param="metadata")

    async def _end(self) -> None:
        if self._field == b"file":
            await self._sink.end()

    def _on_part_begin(self) -> None:
        self._part = _Part()

    def _on_end(self) -> None:
        self._whole = True

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        name = self._header.lower()
        if name == b"content-disposition":
            self._part.disposition = self._value
        elif name == b"content-type":
            self._part.media_type = self._value
        self._header, self._value = b"", b""


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
