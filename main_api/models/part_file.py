"""The file that a download grows in, and the note beside it of what it is a part of. Blocking.

`NAME.part` is locked while a download writes to it; `NAME.part.json` holds its origin.
"""

import contextlib
import fcntl
import os
from collections.abc import Generator
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path

import orjson

from shared.durable import sync_folder
from shared.errors import Conflict


@dataclass(slots=True)
class Origin:
    """What a part file is a part of; kept beside it."""

    url: str
    etag: str | None = None
    sha256: str | None = None
    total: int | None = None


@contextlib.contextmanager
def locked(part: Path) -> Generator[FileIO]:
    """Open and lock `part`, making it if need be; an empty one is removed at the end. Raises `Conflict`."""
    part.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with FileIO(descriptor, "r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"{part.name.removesuffix('.part')} is being pulled already.") from None
        try:
            yield handle
        finally:
            if part.exists() and part.stat().st_size == 0:
                part.unlink()
                _origin_path(part).unlink(missing_ok=True)


def finish(handle: FileIO, part: Path, target: Path) -> None:
    """Make the part the file that it was to become, durably."""
    os.fsync(handle.fileno())
    part.replace(target)
    _origin_path(part).unlink(missing_ok=True)
    sync_folder(target.parent)


def _origin_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def read_origin(part: Path, url: str, sha256: str | None) -> Origin:
    """Return what `part` is a part of; a fresh origin if that is not the file asked for.

    A part that was begun without a checksum is gone on with: the whole file is held against `sha256` in the end.
    """
    fresh = Origin(url=url, sha256=sha256)
    try:
        kept = Origin(**orjson.loads(_origin_path(part).read_bytes()))
    except (OSError, ValueError, TypeError):
        return fresh
    if kept.url != url or (None not in (sha256, kept.sha256) and sha256 != kept.sha256):
        return fresh
    kept.sha256 = sha256 or kept.sha256
    return kept


def write_origin(part: Path, origin: Origin) -> None:
    """Note what `part` is a part of."""
    _origin_path(part).write_bytes(orjson.dumps(asdict(origin)))
