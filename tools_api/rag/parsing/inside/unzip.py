"""Takes an archive apart. A script of the sandbox; the archive is the file `archive` in the current folder.

`{"do": "list"}`: prints a line of JSON for each file in it, `[place, name, size]`; a place is the file's number, and
for one of a ZIP in the ZIP that one's number before it. `{"do": "read", "parts": [[place, offset, length], …]}`: prints
just those bytes. What is refused is reported as `[code, message]`, and nothing else is.
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

_PIECE = 1 << 18
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
_LONGEST_NAME = 1000


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
            read_parts("archive", job["parts"], bounds)
        sys.stdout.flush()
    except Refused as refusal:
        report(json.dumps([refusal.code, refusal.message]).encode())
    except MemoryError:
        report(json.dumps(["memory", "Unpacking it takes more memory than there is for it."]).encode())
    except _DAMAGED:
        report(json.dumps(["broken", "The archive is damaged: it can't be unpacked."]).encode())


def listing(path: str | io.BytesIO, bounds: Bounds) -> Iterator[tuple[list[int], str, int]]:
    """Yield the files of an archive, and those of archives in it. Raises `Refused` before the first one."""
    with zipfile.ZipFile(path) as archive:
        found = list(_files(archive, _size_of(path), bounds))
        every = list(found)
        for number, name, _ in found:
            if name.lower().endswith(".zip"):
                every += _inner(archive, number[0], name, bounds)
        _check_all(every, bounds)
        inner = {place[0] for place, _, _ in every if len(place) > 1}
        yield from (entry for entry in every if len(entry[0]) > 1 or entry[0][0] not in inner)


def _inner(archive: zipfile.ZipFile, number: int, name: str, bounds: Bounds) -> Iterator[tuple[list[int], str, int]]:
    """Yield the files of an archive in the archive; one level is all, and one that is none stays a file."""
    data = _whole(archive, number, bounds)
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    with zipfile.ZipFile(io.BytesIO(data)) as inner:
        for place, inner_name, size in _files(inner, len(data), bounds):
            yield [number, *place], f"{name}/{inner_name}", size


def _files(archive: zipfile.ZipFile, size: int, bounds: Bounds) -> Iterator[tuple[list[int], str, int]]:
    from blocks import Refused
    from office import check_entries

    entries = archive.infolist()
    check_entries(entries, size, bounds, most=bounds.members)
    for number, entry in enumerate(entries):
        if entry.is_dir():
            continue
        if entry.flag_bits & 1:
            raise Refused("encrypted", "The archive is protected with a password. Pack it without one.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise Refused("unsafe", "The archive holds symbolic links, which are not followed.")
        _check_name(entry.filename)
        if entry.file_size > bounds.member_bytes:
            raise Refused("too_large", f"A file in it has more than {bounds.member_bytes >> 20} MB.")
        if not _is_clutter(entry.filename):
            yield [number], entry.filename, entry.file_size


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


def _check_all(entries: list[tuple[list[int], str, int]], bounds: Bounds) -> None:
    from blocks import Refused

    if len(entries) > bounds.members:
        raise Refused("too_large", f"It holds {len(entries)} files; at most {bounds.members} are read.")
    unpacked = sum(size for _, _, size in entries)
    if unpacked > bounds.unpacked_bytes:
        raise Refused("too_large", f"Unpacked it has {unpacked >> 20} MB; at most {bounds.unpacked_bytes >> 20} are.")


def read_parts(path: str, parts: list[tuple[list[int], int, int]], bounds: Bounds) -> None:
    """Print so many bytes of files of the archive, each from its offset on. Raises `Refused` if there are fewer."""
    with zipfile.ZipFile(path) as archive:
        inner: dict[int, zipfile.ZipFile] = {}
        for place, offset, length in parts:
            source = archive
            if len(place) > 1:
                if place[0] not in inner:
                    inner = {place[0]: zipfile.ZipFile(io.BytesIO(_whole(archive, place[0], bounds)))}
                source = inner[place[0]]
            with source.open(source.infolist()[place[-1]]) as member:
                _skip(member, offset)
                _print(member, length)


def _print(member: Any, length: int) -> None:
    from blocks import Refused

    while length > 0:
        piece = member.read(min(length, _PIECE))
        if not piece:
            raise Refused("broken", "The archive is damaged: a file in it is shorter than it says.")
        length -= len(piece)
        sys.stdout.buffer.write(piece)
    member.read(1)  # at the end of the file its checksum is held against it


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
