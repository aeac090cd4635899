"""A collection's index as others use it: documents in, chunks and scores out.

An object costs nothing until it is asked; then it opens its files, and `Indexes` closes them again when others need the
room. It may be kept and used for as long as the collection exists.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import NotFound
from tools_api.rag.index import generations, reading, snapshot
from tools_api.rag.index.allowed import Allowed
from tools_api.rag.index.checks import checked_query
from tools_api.rag.index.failures import logged_failures, require_room
from tools_api.rag.index.kinds import BuildStopped
from tools_api.rag.index.maintenance import Maintenance
from tools_api.rag.index.opened import OpenCollection, allowed_ranges, open_collection
from tools_api.rag.index.room import Room
from tools_api.rag.index.segment_rows import vectors_of
from tools_api.rag.index.threads import Threads
from tools_api.rag.index.values import DocumentToPut, IndexedDocument, IndexOptions, IndexStats, VectorModel
from tools_api.rag.index.words_view import IdRange, OpenWords
from tools_api.rag.values import Chunk, DocumentRecord, Filter, IndexType, ScoredChunk, StoredChunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH = 256
_HIGHEST = 2**62


class CollectionIndex:
    """The index in `folder`. Every method may raise `NotFound` when the collection was removed."""

    def __init__(
        self, folder: Path, open_words: OpenWords, threads: Threads, options: IndexOptions, room: Room
    ) -> None:
        self.folder = folder
        self._room = room
        self._open_words = open_words
        self._threads = threads
        self._options = options
        self._opened: OpenCollection | None = None
        self._maintenance: Maintenance | None = None
        self._allowed = Allowed()
        self._opening = asyncio.Lock()
        self._retired = False
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self.used_at = 0.0
        """When a call last needed the files, on the monotonic clock."""

    @property
    def is_open(self) -> bool:
        """Whether its files are open."""
        return self._opened is not None

    @property
    def in_use(self) -> bool:
        """Whether a call needs its files now."""
        return self._users > 0

    @property
    def memory_bytes(self) -> int:
        """What it keeps in memory besides mapped files; 0 while it is closed."""
        return self._opened.dense.view.nbytes if self._opened else 0

    async def model(self) -> VectorModel:
        """Return the embedding model whose vectors are searched."""
        async with self._files() as opened:
            return opened.model

    async def put(
        self,
        record: DocumentRecord,
        chunks: Sequence[Chunk],
        vectors: "NDArray[np.float32]",
        *,
        fingerprint: str | None = None,
    ) -> None:
        """Write a document in place of its earlier version. Raises what `put_many` raises."""
        await self.put_many([DocumentToPut(record, chunks, vectors)], fingerprint=fingerprint)

    async def put_many(self, documents: Sequence[DocumentToPut], *, fingerprint: str | None = None) -> None:
        """Write documents in place of their earlier versions, all or none; durable and found when it returns.

        While another model's vectors are filled in, they are of that model. `fingerprint` says whose they are, if the
        caller wants that checked. Raises `InvalidRequest`, `Conflict`, `StorageFull`; after the last one the documents
        may have been written, and putting them again does no harm.
        """
        async with self._files() as opened:
            await self._upkeep.room()
            await opened.put(documents, fingerprint)

    async def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents and return how many were there; nothing finds them any more when it returns."""
        async with self._files() as opened:
            return await opened.delete(document_ids)

    async def document(self, document_id: str) -> IndexedDocument:
        """Return a document. Raises `NotFound`."""
        async with self._files() as opened:
            found = await opened.read(partial(reading.document, document_id=document_id))
        if found is None:
            raise NotFound("There is no such document in this collection.", param="document")
        return found

    async def documents(self, *, after: str = "", limit: int = 1000) -> list[IndexedDocument]:
        """List documents in the order of their ids, from behind the id `after` on."""
        async with self._files() as opened:
            return await opened.read(partial(reading.documents, after=after, limit=limit))

    async def chunks(self, ids: Sequence[int]) -> list[StoredChunk]:
        """Return chunks in the order of `ids`; those that are not there any more are left out."""
        async with self._files() as opened:
            return await opened.read(partial(reading.stored_chunks, ids=ids))

    async def neighbourhood(self, document_id: str, *, around: int, before: int, after: int) -> list[StoredChunk]:
        """Return the chunks of a document whose ordinals lie near `around`, in order. Raises `NotFound`."""
        async with self._files():  # kept open between the two questions
            found = await self.document(document_id)
            low, high = max(0, around - before), min(found.chunks, around + after + 1)
            if low >= high:
                return []
            return await self._chunks_in((found.first_chunk + low, found.first_chunk + high), high - low)

    async def iterate(
        self,
        where: Filter | None = None,
        *,
        documents: Sequence[str] | None = None,
        after: int = 0,
        batch: int = _BATCH,
    ) -> AsyncGenerator[list[StoredChunk]]:
        """Yield chunks behind the id `after` in their order, in batches; each is of the moment when it is read."""
        async with self._files() as opened:
            ranges = await opened.read(partial(self._allowed.ranges, opened.version, where, documents))
        for first, end in [(0, _HIGHEST)] if ranges is None else ranges:
            start = max(first, after + 1)
            while start < end and (found := await self._chunks_in((start, end), batch)):
                yield found
                start = found[-1].chunk_id + 1

    async def search_dense(
        self,
        vector: "NDArray[np.float32]",
        k: int,
        where: Filter | None = None,
        *,
        documents: Sequence[str] | None = None,
    ) -> list[ScoredChunk]:
        """Return the `k` chunks with the highest cosines, best first, of the documents that fulfil the condition."""
        async with self._files() as opened:
            query = checked_query(vector, opened.model.dimensions)
            if where is None and documents is None:
                return await opened.search(query, k, None)
            ranges = await opened.read(partial(self._allowed.ranges, opened.version, where, documents))
            return await opened.search(query, k, None if ranges is None else allowed_ranges(ranges))

    async def search_words(
        self, query: str, k: int, where: Filter | None = None, *, documents: Sequence[str] | None = None
    ) -> list[ScoredChunk]:
        """Return the `k` best chunks by BM25, best first, of the documents that fulfil the condition."""
        async with self._files() as opened:
            ranges = None
            if where is not None or documents is not None:
                ranges = await opened.read(partial(self._allowed.ranges, opened.version, where, documents))
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads.searches, opened.words.search, query, k, ranges)

    async def most_by_words(self, query: str) -> float:
        """Return the BM25 that no chunk's text can pass for this question."""
        async with self._files() as opened:
            return await asyncio.get_running_loop().run_in_executor(self._threads.searches, opened.words.most, query)

    async def export(self, *, vectors: bool = False, batch: int = _BATCH) -> AsyncGenerator[dict[str, Any]]:
        """Yield every chunk as a row for JSON, with its document; with its vector if asked."""
        async for chunks in self.iterate(batch=batch):
            async with self._files() as opened:
                ids = [chunk.chunk_id for chunk in chunks]
                found = await opened.read(partial(vectors_of, ids=ids)) if vectors else {}
            for chunk in chunks:
                yield snapshot.exported(chunk, found.get(chunk.chunk_id))

    async def snapshot(self, path: Path) -> None:
        """Write one moment of the collection into a file, while others go on writing. Raises `StorageFull`."""
        async with self._files() as opened:
            loop, reserve = asyncio.get_running_loop(), self._options.reserve_bytes
            await loop.run_in_executor(self._threads.snapshots, _write_snapshot, opened, path, reserve)

    async def set_index_type(self, index_type: IndexType) -> None:
        """Choose how larger segments are searched; they are written anew in the background."""
        async with self._files() as opened:
            if opened.index_type != index_type:
                await opened.write(partial(opened.truth.set_index_type, index_type))
                opened.index_type = index_type
                self._upkeep.wake()

    async def begin_generation(self, fingerprint: str, dimensions: int) -> None:
        """Begin to fill vectors of another embedding model, or go on where that was left."""
        async with self._files() as opened:
            await generations.begin(opened, VectorModel(fingerprint, dimensions))

    async def lacking_vectors(self, *, after: int = 0, limit: int = _BATCH) -> list[StoredChunk]:
        """Return chunks behind the id `after` that have no vector of the model that is being filled in."""
        async with self._files() as opened:
            return await opened.read(partial(reading.lacking_vectors, after=after, limit=limit))

    async def fill(self, ids: Sequence[int], vectors: "NDArray[np.float32]") -> None:
        """Give chunks their vectors of that model. Raises `Conflict`, `InvalidRequest`, `StorageFull`."""
        async with self._files() as opened:
            await generations.fill(opened, ids, vectors)

    async def commit_generation(self) -> None:
        """Search the new vectors from now on. Raises `Conflict` while some are missing."""
        async with self._files() as opened, self._upkeep.alone():
            await generations.commit(opened)
        self._upkeep.wake()

    async def abandon_generation(self) -> None:
        """Go on with the old vectors, and forget what was filled in.

        Documents that were put meanwhile are found by words only, until a generation is filled again.
        """
        async with self._files() as opened:
            await generations.abandon(opened)

    async def without_vectors(self) -> list[str]:
        """Return the documents that are found by words only."""
        async with self._files() as opened:
            return await opened.read(reading.without_vectors)

    async def settle(self) -> None:
        """Return when no segment is left to be written."""
        async with self._files():
            await self._upkeep.settle()

    async def purge(self) -> None:
        """Return when nothing of what was deleted is left in any file. It happens by itself a little later too."""
        async with self._files():
            await self._upkeep.purge()

    async def stats(self) -> IndexStats:
        """Return what it holds and how much it takes."""
        async with self._files() as opened:
            documents, chunks, pending = await opened.read(reading.counts)
            size = await asyncio.get_running_loop().run_in_executor(self._threads.reads, _size_of, self.folder)
            dense = opened.dense
            return IndexStats(
                documents=documents,
                chunks=chunks,
                bytes=size,
                memory_bytes=dense.view.nbytes,
                head=dense.view.head.count,
                segments=len(dense.view.segments),
                dead_share=dense.dead_share,
                index_type=opened.index_type,
                model=opened.model,
                next_model=opened.next_model,
                pending=pending,
            )

    async def rest(self) -> bool:
        """Close the files, unless a call needs them now; the next call opens them again. Say whether it did."""
        upkeep = self._maintenance
        if upkeep is not None and not self._users:
            with logged_failures(self.folder.name), suppress(BuildStopped):
                await upkeep.purge()  # what is closed is not tidied up before somebody asks for it again
        async with self._opening:
            if self._users:
                return False
            await self._close()
            return True

    async def retire(self) -> None:
        """Close the files when the calls that need them are done; later ones raise `NotFound`."""
        self._retired = True
        await self._unused.wait()
        async with self._opening:
            await self._close()

    async def _chunks_in(self, inside: IdRange, limit: int) -> list[StoredChunk]:
        async with self._files() as opened:
            return await opened.read(partial(reading.chunks_in, inside=inside, limit=limit))

    @property
    def _upkeep(self) -> Maintenance:
        if self._maintenance is None:
            raise RuntimeError("the collection is closed")
        return self._maintenance

    @asynccontextmanager
    async def _files(self) -> AsyncGenerator[OpenCollection]:
        if self._retired:  # also while they are still open: a removal waits for the calls before it only
            raise _gone()
        self._users += 1
        self._unused.clear()
        try:
            async with self._opening:
                opened = self._opened or await self._open()
            yield opened
        finally:
            self.used_at = time.monotonic()
            self._users -= 1
            if not self._users:
                self._unused.set()
                self._room.unused()

    async def _open(self) -> OpenCollection:
        there = await asyncio.to_thread((self.folder / "chunks.db").exists)
        if self._retired or not there:
            raise _gone()
        await self._room.take(self)
        try:
            self._opened = await open_collection(self.folder, self._open_words, self._threads, self._options)
        except BaseException:
            self._room.give_back(self)
            raise
        self._allowed = Allowed()  # versions begin again with every opening
        self._maintenance = Maintenance(self._opened)
        return self._opened

    async def _close(self) -> None:
        if self._opened is not None:
            try:
                await self._upkeep.aclose()
                await self._opened.aclose()
            finally:
                self._opened = self._maintenance = None
                self._room.give_back(self)


def _gone() -> NotFound:
    return NotFound("There is no such collection.", param="collection")


def _write_snapshot(opened: OpenCollection, path: Path, reserve_bytes: int) -> None:
    """Blocking. A snapshot is no larger than the database: vectors are as they are there, texts are packed."""
    require_room(path.parent, _size_of(opened.folder, "chunks.db*"), reserve_bytes)
    snapshot.write_snapshot(opened.readers, path)


def _size_of(folder: Path, names: str = "*") -> int:
    size = 0
    for path in folder.rglob(names):
        with suppress(FileNotFoundError):  # a segment that was merged just now
            size += path.stat().st_size if path.is_file() else 0
    return size
