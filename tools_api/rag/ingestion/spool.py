"""What is finished of a document that is not in the index yet: its chunks and the vectors made so far.

`<root>/<document>.json` and `<root>/<document>.<hash>.f32`, the hash being of the key by which vectors are asked for.
They are good for one content, one size of chunks and one model; for anything else they are as if they were not there.
Losing them costs time only. They go with the document.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from shared.errors import StorageFull
from tools_api.rag.values import Chunk, ParsedDocument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_VERSION = 1


class Spool:
    """The files below `root`. Every method blocks; writing raises `StorageFull`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, known: Iterable[str]) -> None:
        """Make the folder, and remove what belongs to none of the `known` documents."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        wanted = set(known)
        for path in self._root.iterdir():
            if path.name.partition(".")[0] not in wanted:
                path.unlink(missing_ok=True)

    def save(self, document_id: str, key: str, parsed: ParsedDocument) -> None:
        """Keep what was read of a document; `key` says of which content and by which rules. Its older vectors go."""
        head = {"version": _VERSION, "key": key, "passages": len(parsed.chunks)}
        content = orjson.dumps(head) + b"\n" + orjson.dumps(asdict(parsed), default=dict)
        path = self._parsed(document_id)
        draft = path.with_suffix(".tmp")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
            for vectors in self._root.glob(f"{document_id}.*.f32"):
                vectors.unlink(missing_ok=True)
            draft.replace(path)
        except OSError as error:
            raise _full() from error

    def load(self, document_id: str, key: str) -> ParsedDocument | None:
        """Return what was kept, or None if it is not there or not of this `key`."""
        try:
            head, _, body = self._parsed(document_id).read_bytes().partition(b"\n")
            if not _fits(orjson.loads(head), key):
                return None
            return _parsed(orjson.loads(body))
        except (FileNotFoundError, orjson.JSONDecodeError):  # a power cut may leave half a file
            return None

    def passages(self, document_id: str) -> int:
        """Return how many passages a document has; 0 if nothing is kept of it."""
        try:
            with self._parsed(document_id).open("rb") as file:
                return int(orjson.loads(file.readline())["passages"])
        except (FileNotFoundError, orjson.JSONDecodeError):
            return 0

    def rows(self, document_id: str, key: str, dimensions: int) -> int:
        """Return how many vectors of a document are there; `key` says of which passages and of which model."""
        try:
            return self._vectors(document_id, key).stat().st_size // (4 * dimensions)
        except FileNotFoundError:
            return 0

    def append(self, document_id: str, key: str, first: int, vectors: "NDArray[np.float32]") -> None:
        """Keep the vectors from number `first` on; what was there from there on is replaced."""
        path = self._vectors(document_id, key)
        try:
            with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
                file.truncate(4 * first * vectors.shape[1])
                file.seek(0, os.SEEK_END)
                file.write(vectors.tobytes())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _full() from error

    def vectors(self, document_id: str, key: str, dimensions: int) -> "NDArray[np.float32]":
        """Return the vectors that are there, up to the first that a power cut spoiled; shape (rows, dimensions)."""
        import numpy as np

        try:
            content = self._vectors(document_id, key).read_bytes()
        except FileNotFoundError:
            content = b""
        rows = np.frombuffer(content, np.float32, len(content) // (4 * dimensions) * dimensions)
        rows = rows.reshape(-1, dimensions)
        spoiled = np.flatnonzero(np.abs(np.linalg.norm(rows, axis=1) - 1) > 0.01)
        return rows[: spoiled[0]] if spoiled.size else rows

    def remove(self, document_ids: Sequence[str]) -> None:
        """Remove what is kept of documents."""
        for document_id in document_ids:
            for path in self._root.glob(f"{document_id}.*"):
                path.unlink(missing_ok=True)

    def _parsed(self, document_id: str) -> Path:
        return self._root / f"{document_id}.json"

    def _vectors(self, document_id: str, key: str) -> Path:
        return self._root / f"{document_id}.{sha256(key.encode()).hexdigest()[:16]}.f32"


def _fits(head: dict[str, Any], key: str) -> bool:
    return head.get("version") == _VERSION and head.get("key") == key


def _parsed(document: dict[str, Any]) -> ParsedDocument:
    listed: list[dict[str, Any]] = document.pop("chunks")
    chunks = tuple(Chunk(headings=tuple(chunk.pop("headings")), **chunk) for chunk in listed)
    return ParsedDocument(chunks=chunks, **document)


def _full() -> StorageFull:
    return StorageFull("The disk for documents is full or not writable; free some space and try again.")
