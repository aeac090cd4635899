"""All collections of a process: makes, finds and removes them, and keeps only so many open."""

import asyncio
import re
import shutil
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from shared.durable import sync_folder
from shared.errors import Conflict, NotFound
from tools_api.rag.index import schema
from tools_api.rag.index.failures import logged_failures, storage_failures
from tools_api.rag.index.room import Room
from tools_api.rag.index.threads import Threads
from tools_api.rag.index.values import UNFINISHED_MARK, IndexOptions, Restored, RestoreLimits, VectorModel
from tools_api.rag.index.words_view import OpenWords
from tools_api.rag.values import IndexType

if TYPE_CHECKING:
    from tools_api.rag.index.collection import CollectionIndex

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_GONE = ".removed"
_UNFINISHED = ".restoring"
_TIDY_EVERY_S = 5.0


class Indexes:
    """The collections below `root`, one folder each. Call `start` before use.

    An index that was handed out stays good; when it was not used for a while, its files may be closed in between.
    """

    def __init__(self, root: Path, open_words: OpenWords, options: IndexOptions | None = None) -> None:
        self._root = root
        self._open_words = open_words
        self._options = options or IndexOptions()
        self._threads = Threads()
        self._room = Room(self._options.max_open)
        self._known: OrderedDict[str, CollectionIndex] = OrderedDict()
        self._upkeep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make the folder, and finish what a crash or a stop broke off, the longer parts of it in the background."""
        unfinished = await asyncio.to_thread(_prepare, self._root)
        self._upkeep = asyncio.create_task(self._keep_up(unfinished))

    async def open(self, collection_id: str, model: VectorModel, index_type: IndexType) -> "CollectionIndex":
        """Return the index of a collection, made with that model if it is not there. Raises `StorageFull`."""
        folder = self._folder(collection_id)
        await asyncio.to_thread(_create, folder, model, index_type)
        return await asyncio.to_thread(self._index, collection_id)

    async def existing(self, collection_id: str) -> "CollectionIndex | None":
        """Return the index of a collection if there is one."""
        if not await asyncio.to_thread((self._folder(collection_id) / "chunks.db").exists):
            return None
        return await asyncio.to_thread(self._index, collection_id)

    async def restore(
        self,
        collection_id: str,
        source: Path,
        *,
        new_id: Callable[[str], str],
        limits: RestoreLimits | None = None,
    ) -> Restored:
        """Make a new collection from a snapshot; `new_id` makes a document's id from the one that it had.

        The snapshot may come from anybody. Raises `InvalidRequest`, `PayloadTooLarge`, `StorageFull`, and `Conflict`
        if the collection is there; then nothing is left of it.
        """
        folder = self._folder(collection_id)
        return await asyncio.to_thread(_restore, source, folder, new_id, limits or RestoreLimits())

    async def remove(self, collection_id: str) -> None:
        """Remove a collection's files; done also after a crash in the middle. One that is not there does no harm."""
        folder = self._folder(collection_id)
        index = self._known.get(collection_id)
        if index is not None:
            await index.retire()
        await asyncio.to_thread(_remove, folder)
        self._known.pop(collection_id, None)

    async def aclose(self) -> None:
        """Close all files."""
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.wait([self._upkeep])
        await asyncio.gather(*(self._retire(index) for index in self._known.values()))
        await self._room.aclose()
        await asyncio.to_thread(self._threads.close)

    async def _retire(self, index: "CollectionIndex") -> None:
        with logged_failures(index.folder.name):
            await index.retire()

    def _index(self, collection_id: str) -> "CollectionIndex":
        """Blocking where it is the first: numpy is imported."""
        from tools_api.rag.index.collection import CollectionIndex

        if collection_id not in self._known:
            folder = self._folder(collection_id)
            self._known[collection_id] = CollectionIndex(
                folder, self._open_words, self._threads, self._options, self._room
            )
        self._known.move_to_end(collection_id)
        return self._known[collection_id]

    def _folder(self, collection_id: str) -> Path:
        if not _ID.fullmatch(collection_id):
            raise NotFound("There is no such collection.", param="collection")
        return self._root / collection_id

    async def _keep_up(self, unfinished: list[str]) -> None:
        for collection_id in unfinished:
            with logged_failures(collection_id):
                index = await self.existing(collection_id)
                if index is not None:
                    await index.purge()
        while True:
            await asyncio.sleep(_TIDY_EVERY_S)
            with logged_failures("all"):
                await self.rest_some()

    async def rest_some(self) -> None:
        """Close those that were not asked for the longest, until the others are within the limits."""
        options = self._options
        open_ones = [index for index in self._known.values() if index.is_open]
        used = sum(index.memory_bytes for index in open_ones)
        excess = len(open_ones) - options.max_open
        for index in sorted(open_ones, key=lambda each: each.used_at):
            if excess <= 0 and used <= options.max_open_bytes:
                return
            freed = index.memory_bytes
            if await index.rest():
                excess, used = excess - 1, used - freed


def _prepare(root: Path) -> list[str]:
    """Return the collections that were not closed, or closed before all that was deleted had left their files."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for suffix in (_GONE, _UNFINISHED):
        for folder in root.glob(f"*{suffix}"):
            shutil.rmtree(folder)
    marks = [*root.glob("*/chunks.db-wal"), *root.glob(f"*/{UNFINISHED_MARK}")]
    return sorted({mark.parent.name for mark in marks})


def _create(folder: Path, model: VectorModel, index_type: IndexType) -> None:
    with storage_failures():
        folder.mkdir(mode=0o700, exist_ok=True)
        schema.create(
            folder / "chunks.db", index_type=index_type, fingerprint=model.fingerprint, dimensions=model.dimensions
        )


def _restore(source: Path, folder: Path, new_id: Callable[[str], str], limits: RestoreLimits) -> Restored:
    from tools_api.rag.index.restore import restore_snapshot

    if folder.exists():
        raise Conflict("There is a collection of this id.", param="collection")
    draft = folder.with_name(folder.name + _UNFINISHED)
    draft.mkdir(mode=0o700)
    try:
        restored = restore_snapshot(source, draft, new_id, limits)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_folder(folder.parent)
    return restored


def _remove(folder: Path) -> None:
    gone = folder.with_name(folder.name + _GONE)
    if folder.exists():
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
