"""EPUB books: HTML in an archive, in the order of the spine."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

from blocks import Block, Bounds, Content, Refused, facts
from office import Package
from parse_html import parse_html
from parse_text import decode

_DC = "{http://purl.org/dc/elements/1.1/}"
_OPF = "{http://www.idpf.org/2007/opf}"
_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_OF_BOOK = {"title": "title", "author": "creator", "language": "language", "date": "date"}


def parse_epub(data: bytes, bounds: Bounds) -> Content:
    """Parse a book: its chapters in the order of its spine."""
    package = Package(data, bounds)
    if "META-INF/encryption.xml" in package and b"EncryptedData" in package.read("META-INF/encryption.xml"):
        raise Refused("encrypted", "The book is protected against copying.")
    found = package.tree("META-INF/container.xml").find(f".//{_CONTAINER}rootfile")
    path = found.get("full-path", "") if found is not None else ""
    book = package.tree(path)
    folder = posixpath.dirname(path)
    files = {item.get("id", ""): item.get("href", "") for item in book.iter(f"{_OPF}item")}
    blocks: list[Block] = []
    characters = 0
    for reference in book.iter(f"{_OPF}itemref"):
        name = posixpath.normpath(posixpath.join(folder, unquote(files.get(reference.get("idref", ""), ""))))
        if name in package:
            chapter = parse_html(decode(package.read(name)), bounds).blocks
            characters += sum(len(block.text) for block in chapter)
            bounds.check_characters(characters)
            blocks += chapter
    said = {name: next((part.text for part in book.iter(f"{_DC}{tag}")), None) for name, tag in _OF_BOOK.items()}
    metadata = facts(said)
    title = str(metadata.pop("title", "")) or None
    return Content("application/epub+zip", blocks, title=title, metadata=metadata)
