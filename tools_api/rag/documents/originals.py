"""The uploaded files as they came: `<root>/<collection>/<sha256>`, so that the same content is kept once a collection.

A file is written as a draft in `<root>/.drafts`, synced and renamed: what is there under a digest is whole. Drafts that
a crash left are removed at the next start. Everything is 0600 in folders that are 0700.
"""

import asyncio
import hashlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from shared.durable import sync_folder
from shared.errors import NotFound, StorageFull
from tools_api.rag.documents.values import Draft
from tools_api.rag.values import ParseFailure

_BUFFER = 1024 * 1024
_CHUNK = 256 * 1024
_SYNCS_AT_ONCE = 8  # file systems commit what is synced together in one go


class Originals:
    """The files below `root`. `open` before use."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._drafts = root / ".drafts"
        self._syncs = asyncio.Semaphore(_SYNCS_AT_ONCE)

    async def open(self) -> None:
        """Make the folders, and remove drafts of an earlier process."""
        await asyncio.to_thread(_fresh_drafts, self._drafts)

    def draft(self, name: str, media_type: str) -> "DraftWriter":
        """Begin a file."""
        return DraftWriter(self._drafts / secrets.token_hex(16), name, media_type)

    async def keep(self, collection_id: str, drafts: Sequence[Draft]) -> None:
        """Keep drafts for good: when it returns, a power cut does not take them. Raises `StorageFull`."""
        folder = self._root / collection_id
        wanted = [draft for draft in drafts if draft.kept]
        try:
            await asyncio.gather(*(self._sync(draft.path) for draft in wanted))
            await asyncio.to_thread(_move, wanted, folder)
        except OSError as error:
            raise _full() from error

    async def discard(self, drafts: Iterable[Path]) -> None:
        """Remove drafts that were not kept."""
        await asyncio.to_thread(lambda: [path.unlink(missing_ok=True) for path in drafts])

    def path(self, collection_id: str, sha256: str) -> Path:
        """Say where the file of this digest is."""
        return self._root / collection_id / sha256

    async def chunks(self, collection_id: str, sha256: str) -> AsyncIterator[bytes]:
        """Read a file piece by piece. Raises `NotFound` if it went meanwhile."""
        try:
            file = await asyncio.to_thread(self.path(collection_id, sha256).open, "rb")
        except FileNotFoundError:
            raise NotFound("The document was removed.", param="document") from None
        with file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk

    async def remove(self, collection_id: str, digests: Iterable[str]) -> None:
        """Remove the files of these digests, those that are there."""
        await asyncio.to_thread(lambda: [self.path(collection_id, one).unlink(missing_ok=True) for one in digests])

    async def remove_collection(self, collection_id: str) -> None:
        """Remove all files of a collection."""
        await asyncio.to_thread(shutil.rmtree, self._root / collection_id, ignore_errors=True)

    async def sweep(self, collection_id: str, known: Collection[str]) -> int:
        """Remove files of a collection that no document has (a crash came between the two); return how many."""
        return await asyncio.to_thread(_sweep, self._root / collection_id, known)

    async def _sync(self, path: Path) -> None:
        async with self._syncs:
            await asyncio.to_thread(_sync_file, path)


class DraftWriter:
    """Takes a file's bytes as they come; `finish` says what came. Raises `StorageFull`."""

    def __init__(self, path: Path, name: str, media_type: str) -> None:
        self.path = path
        self.size = 0
        self._name = name
        self._media_type = media_type
        self._digest = hashlib.sha256()
        self._waiting = bytearray()
        self._made = False
        self._refused: ParseFailure | None = None

    @property
    def is_refused(self) -> bool:
        """Say whether bytes are only counted by now."""
        return self._refused is not None

    async def refuse(self, failure: ParseFailure) -> None:
        """Keep nothing of the file, only its digest; what comes of it from now on is not written."""
        self._refused = failure
        await asyncio.to_thread(self.path.unlink, missing_ok=True)

    async def write(self, data: bytes) -> None:
        """Take some bytes; a thread writes them when they are worth it."""
        self.size += len(data)
        self._waiting += data
        if len(self._waiting) >= _BUFFER:
            await self._flush()

    async def finish(self) -> Draft:
        """Write what is left."""
        await self._flush()
        draft = Draft(self._name, self._media_type, self.path, self.size, self._digest.hexdigest())
        if self._refused is None:
            return draft
        digest = hashlib.sha256(f"refused {self._name} {draft.sha256}".encode("utf-8", "replace")).hexdigest()
        return replace(draft, size=0, sha256=digest, failure=self._refused, kept=False)  # no content has this digest

    async def _flush(self) -> None:
        waiting, self._waiting = self._waiting, bytearray()
        try:
            await asyncio.to_thread(self._append, waiting)
        except OSError as error:
            raise _full() from error

    def _append(self, data: bytearray) -> None:
        self._digest.update(data)
        if self._refused is not None:
            return
        flags = os.O_WRONLY | os.O_APPEND | (0 if self._made else os.O_CREAT | os.O_EXCL)
        with os.fdopen(os.open(self.path, flags, 0o600), "wb") as file:
            self._made = True
            file.write(data)


def _fresh_drafts(drafts: Path) -> None:
    drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
    for draft in drafts.iterdir():
        draft.unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move(drafts: Sequence[Draft], folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for draft in drafts:
        if draft.path.exists():  # two files of an upload may have the same content
            draft.path.replace(folder / draft.sha256)
    sync_folder(folder)
    sync_folder(folder.parent)


def _sweep(folder: Path, known: Collection[str]) -> int:
    try:
        strangers = [path for path in folder.iterdir() if path.name not in known]
    except FileNotFoundError:
        return 0
    for path in strangers:
        path.unlink(missing_ok=True)
    return len(strangers)


def _full() -> StorageFull:
    return StorageFull("The disk for documents is full or not writable; free some space and try again.")
