"""Plain text in whatever encoding it is."""

from __future__ import annotations

import codecs

from blocks import Content, Refused, clean, paragraphs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 1 << 16


def decode(data: bytes) -> str:
    """Decode bytes: by their mark, as UTF-8, or as what they look like. Raises `Refused` for what is no text."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return clean(data.decode(encoding, "replace"))
    try:
        return clean(_without_nul(data).decode("utf-8"))
    except UnicodeDecodeError:
        return clean(_without_nul(data).decode(_guess(data), "replace"))


def parse_text(data: bytes) -> Content:
    """Parse plain text: paragraphs are what empty lines separate."""
    return Content("text/plain", list(paragraphs(decode(data))))


def _without_nul(data: bytes) -> bytes:
    """Allow a stray NUL, not a file that is full of them."""
    zeros = data.count(b"\0")
    if zeros > 8 and zeros * 20 > len(data):
        raise Refused("unsupported", "The file is not text: it is full of NUL bytes.")
    return data.replace(b"\0", b"") if zeros else data


def _guess(data: bytes) -> str:
    try:
        from charset_normalizer import from_bytes
    except ImportError:  # where compiled packages can't be had
        return "cp1252"
    best = from_bytes(data[:_SAMPLE]).best()
    return best.encoding if best else "cp1252"
