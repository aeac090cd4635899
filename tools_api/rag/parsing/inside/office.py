"""The parts of Office documents, OpenDocument files and EPUBs: ZIP archives, read with care."""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from itertools import pairwise

from blocks import Bounds, Refused
from xml_events import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from blocks import Metadata
    from xml_events import Element

_MOST_PARTS = 20_000
_SMALL = 1 << 20
_LARGEST_TREE = 32 << 20
_REL = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_CORE = {
    "title": "{http://purl.org/dc/elements/1.1/}title",
    "author": "{http://purl.org/dc/elements/1.1/}creator",
    "subject": "{http://purl.org/dc/elements/1.1/}subject",
    "created": "{http://purl.org/dc/terms/}created",
    "modified": "{http://purl.org/dc/terms/}modified",
}


class Package:
    """An archive whose parts are read by name. Raises `Refused` for a bomb before a byte of it is unpacked."""

    def __init__(self, data: bytes, bounds: Bounds) -> None:
        self._archive = zipfile.ZipFile(io.BytesIO(data))
        self._bounds = bounds
        self._left = bounds.unpacked_bytes
        entries = self._archive.infolist()
        check_entries(entries, len(data), bounds, most=_MOST_PARTS)
        self._names = {entry.filename: entry for entry in entries}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @property
    def names(self) -> list[str]:
        """List the parts."""
        return list(self._names)

    def open(self, name: str) -> IO[bytes]:
        """Open a part; reading more than it may hold raises `Refused`, as does a part that is missing."""
        entry = self._names.get(name)
        if entry is None:
            raise Refused("broken", "A part of the document is missing.")
        if entry.flag_bits & 1:
            raise Refused("encrypted", "The document is protected with a password. Save it without one.")
        return _Capped(self._archive.open(entry), self)  # type: ignore[return-value]

    def read(self, name: str, most: int = _LARGEST_TREE) -> bytes:
        """Read a small part as a whole."""
        with self.open(name) as part:
            data = part.read(most + 1)
        if len(data) > most:
            raise Refused("too_large", "A part of the document is too large to be read.")
        return data

    def tree(self, name: str) -> Element:
        """Read a small part as XML."""
        return tree(io.BytesIO(self.read(name)))

    def related(self, part: str) -> dict[str, tuple[str, str]]:
        """Return what a part refers to inside the package: kind and name by its id."""
        folder, _, base = part.rpartition("/")
        name = f"{folder}/_rels/{base}.rels".lstrip("/")
        if name not in self:
            return {}
        found: dict[str, tuple[str, str]] = {}
        for relation in self.tree(name).iter(_REL):
            if relation.get("TargetMode") != "External":
                target = relation.get("Target", "")
                path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"{folder}/{target}")
                found[relation.get("Id", "")] = relation.get("Type", "").rpartition("/")[2], path.lstrip("/")
        return found

    def facts(self) -> Metadata:
        """Return what an Office document says of itself."""
        if "docProps/core.xml" not in self:
            return {}
        from blocks import facts

        root = self.tree("docProps/core.xml")
        return facts(
            {name: (found.text if (found := root.find(tag)) is not None else None) for name, tag in _CORE.items()}
        )

    def took(self, size: int) -> None:
        """Count what was unpacked."""
        self._left -= size
        if self._left < 0:
            raise Refused("too_large", f"Unpacked it has more than {self._bounds.unpacked_bytes >> 20} MB.")


class _Capped:
    """A part that is being unpacked, and counted."""

    def __init__(self, part: IO[bytes], package: Package) -> None:
        self._part = part
        self._package = package

    def read(self, size: int = -1) -> bytes:
        data = self._part.read(size if size >= 0 else _LARGEST_TREE)
        self._package.took(len(data))
        return data

    def __enter__(self) -> _Capped:
        return self

    def __exit__(self, *_: object) -> None:
        self._part.close()


def check_entries(entries: list[zipfile.ZipInfo], size: int, bounds: Bounds, *, most: int) -> None:
    """Raise `Refused` for an archive that says itself that it is a bomb: by number, sizes, ratio or overlaps."""
    if len(entries) > most:
        raise Refused("too_large", f"It has {len(entries)} parts inside; at most {most} are read.")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > bounds.unpacked_bytes:
        raise Refused(
            "too_large", f"Unpacked it has {unpacked >> 20} MB; at most {bounds.unpacked_bytes >> 20} are read."
        )
    for entry in entries:
        if entry.file_size > _SMALL and entry.file_size > bounds.ratio * max(1, entry.compress_size):
            raise Refused("bomb", f"It is packed more than {bounds.ratio} times smaller than it is, as only bombs are.")
    if sum(entry.compress_size for entry in entries) > size:
        raise Refused("bomb", "Its parts overlap, as only a bomb's do.")
    places = sorted((entry.header_offset, entry.header_offset + 30 + entry.compress_size) for entry in entries)
    if any(end > start for (_, end), (start, _) in pairwise(places)):
        raise Refused("bomb", "Its parts overlap, as only a bomb's do.")


DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
"""What reading a damaged archive raises."""
