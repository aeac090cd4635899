"""Tells a ZIP of files from a document that is packed as one, by its table of contents. Reads a bounded part of it."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

_DOCUMENTS = {b"word/document.xml", b"ppt/presentation.xml", b"xl/workbook.xml", b"xl/workbook.bin", b"mimetype"}
_END = b"PK\x05\x06"
_ENTRY = b"PK\x01\x02"
_END_BYTES = 22
_ENTRY_BYTES = 46
_LONGEST_COMMENT = 1 << 16
_MOST_TABLE = 4 << 20


def is_archive(path: Path) -> bool:
    """Say whether a file is a ZIP of files. One whose table can't be read is; whoever unpacks it says what is wrong."""
    try:
        with path.open("rb") as file:
            if file.read(4) not in {b"PK\x03\x04", _END}:
                return False
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LONGEST_COMMENT - _END_BYTES))
            tail = file.read()
            at = tail.rfind(_END)
            if at < 0 or len(tail) - at < _END_BYTES:
                return True
            table_size, table_at = struct.unpack_from("<II", tail, at + 12)
            file.seek(min(table_at, size))
            return not _DOCUMENTS.intersection(_names(file.read(min(table_size, _MOST_TABLE))))
    except OSError:
        return False


def _names(table: bytes) -> Iterator[bytes]:
    position = 0
    while table.startswith(_ENTRY, position) and len(table) >= position + _ENTRY_BYTES:
        name, extra, comment = struct.unpack_from("<HHH", table, position + 28)
        start = position + _ENTRY_BYTES
        yield table[start : start + name]
        position = start + name + extra + comment
