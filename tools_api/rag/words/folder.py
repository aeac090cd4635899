"""The folder of an index of words: opened if every byte of it is as it was written, else thrown away and made anew.

tantivy puts a checksum under each of its files but does not look at it when it opens them; a damaged file would be read
as wrong words, or end the process. Everything here can be filled again from the collection, so nothing is repaired.
"""

import errno
import json
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tantivy

from shared.logging import get_logger
from tools_api.rag.words.schema import Analyzers, register, schema

_log = get_logger("tools_api.rag")

FORMAT = 1
"""To be raised when fields or analysis change: older folders are then filled again."""
_PARTS = ("idx", "pos", "term", "store", "fast", "fieldnorm")
_FOOTER_MAGIC = 1337  # tantivy: a file ends with JSON holding the checksum, the JSON's length and this number
_READ_BYTES = 1 << 20
_DAMAGE = frozenset({errno.ENOENT, errno.EIO, errno.EINVAL})  # the last one: shorter than a file of tantivy's can be


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment by the name that its files begin with; `deletes_opstamp` if chunks in it are marked as removed."""

    stem: str
    deletes_opstamp: int | None


def open_folder(folder: Path, analyzers: Analyzers) -> tantivy.Index:
    """Return the index in a folder, an empty one if it is new, of another language or format, or damaged."""
    form: dict[str, object] = {"format": FORMAT, "language": analyzers.language}
    if folder.exists() and (_read_json(folder / "format.json") != form or not _is_sound(folder)):
        _throw_away(folder)
    try:
        index = _opened(folder, form)
    except ValueError:  # tantivy's word for files that it can't read
        _throw_away(folder)
        index = _opened(folder, form)
    index.config_reader("manual")
    register(index, analyzers)
    return index


def _opened(folder: Path, form: dict[str, object]) -> tantivy.Index:
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "format.json").write_text(json.dumps(form))
    return tantivy.Index(schema(), path=str(folder))


def _throw_away(folder: Path) -> None:
    _log.warning("words_index_thrown_away", collection=folder.parent.name)
    shutil.rmtree(folder)


def segments(folder: Path) -> list[Segment]:
    """Return the segments of the last commit, in the order in which a searcher numbers them."""
    listed = _read_json(folder / "meta.json")
    return [Segment(*_id_and_deletes(segment)) for segment in listed["segments"]] if listed else []


def files_of(segment: Segment) -> set[str]:
    """Return the names of a segment's files."""
    names = {f"{segment.stem}.{part}" for part in _PARTS}
    return names if segment.deletes_opstamp is None else {*names, f"{segment.stem}.{segment.deletes_opstamp}.del"}


def leftover_files(folder: Path) -> set[str]:
    """Return the names of segments' files that the last commit does not need."""
    endings = {*(f".{part}" for part in _PARTS), ".del"}
    present = {file.name for file in folder.iterdir() if file.suffix in endings}
    return present.difference(*(files_of(segment) for segment in segments(folder)))


def _id_and_deletes(segment: dict[str, Any]) -> tuple[str, int | None]:
    deletes = segment["deletes"]
    return segment["segment_id"].replace("-", ""), deletes["opstamp"] if deletes else None


def _is_sound(folder: Path) -> bool:
    if not (folder / "meta.json").exists():
        return not leftover_files(folder)  # made, and ended before its first commit
    try:
        return all(_checks_out(folder / name) for segment in segments(folder) for name in files_of(segment))
    except OSError as error:  # too many open files, say, is no damage
        if error.errno in _DAMAGE:
            return False
        raise
    except (ValueError, KeyError, TypeError, AttributeError, struct.error):
        return False


def _checks_out(file: Path) -> bool:
    size = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(size - 8)
        length, magic = struct.unpack("<II", stream.read(8))
        if magic != _FOOTER_MAGIC or length > size - 8:
            return False
        stream.seek(size - 8 - length)
        checksum = json.loads(stream.read(length))["crc"]
        stream.seek(0)
        return _crc(stream.read, size - 8 - length) == checksum


def _crc(read: Callable[[int], bytes], length: int) -> int:
    crc = 0
    while length > 0 and (piece := read(min(length, _READ_BYTES))):
        crc = zlib.crc32(piece, crc)
        length -= len(piece)
    return crc


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
