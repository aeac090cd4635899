"""Takes an archive apart. A script of the sandbox; the archive is the file `archive` in the current folder.

`{"do": "list"}`: prints a line of JSON for each file in it, `[place, name, size, failure]`; a place is the file's
number, and for one of a ZIP in the ZIP that one's number before it; a failure, `[code, message]`, is null for a file
that can be read. `{"do": "read", "parts": [[place, offset, length], …]}`: prints just those bytes; the numbers of parts
that are damaged, for which zeros are printed, are reported as `{"damaged": […]}`. An archive that is refused is
reported as `[code, message]`.
"""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import zipfile
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from blocks import Bounds

    Entry = tuple[list[int], str, int, tuple[str, str] | None]

_PIECE = 1 << 18
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
_LONGEST_NAME = 1000
_BROKEN = ("broken", "The archive is damaged: this file can't be unpacked.")


def main(payload: bytes, report: Callable[[bytes], None]) -> None:
    """Do what `payload` says."""
    sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]  # noqa: PTH100, PTH120 - pathlib costs milliseconds
    from blocks import Bounds, Refused

    job = json.loads(payload)
    try:
        bounds = Bounds(**job["bounds"])
        if job["do"] == "list":
            for entry in listing("archive", bounds):
                sys.stdout.write(json.dumps(entry) + "\n")
        else:
            damaged = read_parts("archive", job["parts"], bounds)
            if damaged:
                report(json.dumps({"damaged": damaged}).encode())
        sys.stdout.flush()
    except Refused as refusal:
        report(json.dumps([refusal.code, refusal.message]).encode())
    except MemoryError:
        report(json.dumps(["memory", "Unpacking it takes more memory than there is for it."]).encode())
    except _DAMAGED:
        report(json.dumps(["broken", "The archive is damaged: it can't be unpacked."]).encode())


def listing(path: str | io.BytesIO, bounds: Bounds) -> Iterator[Entry]:
    """Yield the files of an archive, and those of archives in it. Raises `Refused` before the first one."""
    with zipfile.ZipFile(path) as archive:
        found = list(_files(archive, _size_of(path), bounds))
        every: list[Entry] = []
        for entry in found:
            every += _opened(archive, entry, bounds)
        _check_all(every, bounds)
        yield from every


def _opened(archive: zipfile.ZipFile, entry: Entry, bounds: Bounds) -> list[Entry]:
    """Return a file, or the files in it if it is an archive; one that is damaged is a file that can't be read."""
    number, name, _, failure = entry
    if failure or not name.lower().endswith(".zip"):
        return [entry]
    try:
        return list(_inner(archive, number[0], name, bounds)) or [entry]
    except _DAMAGED:
        return [(number, name, 0, _BROKEN)]


def _inner(archive: zipfile.ZipFile, number: int, name: str, bounds: Bounds) -> Iterator[Entry]:
    """Yield the files of an archive in the archive; one level is all, and one that is none stays a file."""
    data = _whole(archive, number, bounds)
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    with zipfile.ZipFile(io.BytesIO(data)) as inner:
        for place, inner_name, size, failure in _files(inner, len(data), bounds):
            yield [number, *place], f"{name}/{inner_name}", size, failure


def _files(archive: zipfile.ZipFile, size: int, bounds: Bounds) -> Iterator[Entry]:
    from office import check_entries

    entries = archive.infolist()
    check_entries(entries, size, bounds, most=bounds.members)
    for number, entry in enumerate(entries):
        if entry.is_dir():
            continue
        _check_name(entry.filename)
        if not _is_clutter(entry.filename):
            failure = _failure_of(entry, bounds)
            yield [number], entry.filename, 0 if failure else entry.file_size, failure


def _failure_of(entry: zipfile.ZipInfo, bounds: Bounds) -> tuple[str, str] | None:
    """Say why a file of the archive is not read, if it is not; the others are."""
    if entry.flag_bits & 1:
        return "encrypted", "It is protected with a password. Pack it without one."
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "unsafe", "It is a symbolic link, which is not followed."
    if entry.file_size > bounds.member_bytes:
        return "too_large", f"It has more than {bounds.member_bytes >> 20} MB."
    return None


def _check_name(name: str) -> None:
    from blocks import Refused

    parts = name.replace("\\", "/").split("/")
    is_absolute = name.startswith(("/", "\\")) or (len(parts[0]) == 2 and parts[0][1] == ":")
    if is_absolute or ".." in parts or "\0" in name or len(name) > _LONGEST_NAME:
        raise Refused("unsafe", "The archive holds names that lead out of it.")


def _is_clutter(name: str) -> bool:
    """Say whether a file is an operating system's own."""
    parts = name.split("/")
    return parts[0] == "__MACOSX" or parts[-1] in {".DS_Store", "Thumbs.db", "desktop.ini"}


def _check_all(entries: list[Entry], bounds: Bounds) -> None:
    from blocks import Refused

    if len(entries) > bounds.members:
        raise Refused("too_large", f"It holds {len(entries)} files; at most {bounds.members} are read.")
    unpacked = sum(size for _, _, size, _ in entries)
    if unpacked > bounds.unpacked_bytes:
        raise Refused("too_large", f"Unpacked it has {unpacked >> 20} MB; at most {bounds.unpacked_bytes >> 20} are.")


def read_parts(path: str, parts: list[tuple[list[int], int, int]], bounds: Bounds) -> list[int]:
    """Print so many bytes of files of the archive, each from its offset on; return the numbers of damaged parts."""
    damaged: list[int] = []
    with zipfile.ZipFile(path) as archive:
        inner: dict[int, zipfile.ZipFile] = {}
        for number, (place, offset, length) in enumerate(parts):
            source = archive
            if len(place) > 1:
                if place[0] not in inner:
                    inner = {place[0]: zipfile.ZipFile(io.BytesIO(_whole(archive, place[0], bounds)))}
                source = inner[place[0]]
            if not _print(source, source.infolist()[place[-1]], offset, length):
                damaged.append(number)
    return damaged


def _print(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, offset: int, length: int) -> bool:
    """Print bytes of a file; say whether it is whole, as far as this shows. What is not there is printed as zeros."""
    left = length
    is_whole = True
    try:
        with archive.open(entry) as member:
            _skip(member, offset)
            while left > 0 and (piece := member.read(min(left, _PIECE))):
                left -= sys.stdout.buffer.write(piece)
            member.read(1)  # at the end of the file its checksum is held against it
    except _DAMAGED:
        is_whole = False
    while left > 0:
        is_whole = False
        left -= sys.stdout.buffer.write(bytes(min(left, _PIECE)))
    return is_whole


def _skip(member: Any, size: int) -> None:
    while size > 0:
        piece = member.read(min(size, _PIECE))
        if not piece:
            return
        size -= len(piece)


def _whole(archive: zipfile.ZipFile, number: int, bounds: Bounds) -> bytes:
    from blocks import Refused

    with archive.open(archive.infolist()[number]) as member:
        data = member.read(bounds.member_bytes + 1)
    if len(data) > bounds.member_bytes:
        raise Refused("too_large", f"A file in it has more than {bounds.member_bytes >> 20} MB.")
    return data


def _size_of(path: str | io.BytesIO) -> int:
    return len(path.getbuffer()) if isinstance(path, io.BytesIO) else os.stat(path).st_size  # noqa: PTH116
