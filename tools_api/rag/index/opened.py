"""An open collection: its files, what of them is in memory, and the order in which they are changed.

One writer at a time; a change that was begun is done even if its caller goes away. Readers never wait for it.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.errors import Conflict
from tools_api.rag.index import plan
from tools_api.rag.index.checks import checked_documents
from tools_api.rag.index.dense import Dense
from tools_api.rag.index.failures import require_room, storage_failures
from tools_api.rag.index.reading import Readers
from tools_api.rag.index.threads import Threads
from tools_api.rag.index.truth import Changes, Truth, require_model
from tools_api.rag.index.values import DocumentToPut, IndexOptions
from tools_api.rag.index.view import best, search_part
from tools_api.rag.index.words_applier import WordsApplier
from tools_api.rag.index.words_view import IdRange, OpenWords
from tools_api.rag.values import IndexType, ScoredChunk

T = TypeVar("T")

_LOG_PER_ROW = 2
_REST_OF_A_ROW = 512


class OpenCollection:
    """The parts of one collection that only exist while it is open. Made by `open_collection`."""

    def __init__(
        self, folder: Path, truth: Truth, words: WordsApplier, threads: Threads, options: IndexOptions
    ) -> None:
        self.folder = folder
        self.truth = truth
        self.words = words
        self.threads = threads
        self.options = options
        self.readers = Readers(folder / "chunks.db")
        self.dense = Dense(folder, truth, self.readers, options)
        self.index_type: IndexType = truth.index_type
        self.model = truth.model
        self.next_model = truth.next_model
        self.words_to_purge = truth.words_to_purge
        self.version = 0
        """Grows with every change of documents."""
        self.on_change: Callable[[Changes], None] = lambda _: None
        self._turn = asyncio.Lock()
        self._writing: set[asyncio.Task[Any]] = set()

    async def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Ask the database in a thread."""

        def ask() -> T:
            with self.readers.use() as db:
                return question(db)

        return await asyncio.get_running_loop().run_in_executor(self.threads.reads, ask)

    async def write(self, change: Callable[[], T]) -> T:
        """Change something in a thread, after those who came before; it is done even if the caller goes away."""
        task = asyncio.create_task(self._in_turn(change))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return await asyncio.shield(task)

    async def put(self, items: Sequence[DocumentToPut], fingerprint: str | None) -> None:
        """Write documents in place of their earlier versions; they are found when this returns."""
        await self._settled(self.write(partial(self._put, items, fingerprint)))

    async def delete(self, ids: Sequence[str]) -> int:
        """Remove documents and return how many were there."""
        return len((await self._settled(self.write(partial(self._delete, ids)))).removed)

    async def search(self, query: NDArray[np.float32], k: int, allowed: NDArray[np.int64] | None) -> list[ScoredChunk]:
        """Search all parts, some of them at the same time if they are large."""
        loop, view = asyncio.get_running_loop(), self.dense.view
        if query.shape != view.head.vectors.shape[1:]:
            raise Conflict("The embedding model of this collection has just changed; embed the question again.")
        parts = view.parts(self.threads.at_once)
        pool = self.threads.searches
        found = await asyncio.gather(
            *(loop.run_in_executor(pool, search_part, part, query, k, allowed) for part in parts)
        )
        return best([each for part in found for each in part], k)

    def shorten_log(self) -> None:
        """Write the log into the database if it has become long; under the write lock."""
        if self.truth.log_bytes() > self.options.log_bytes:
            self.truth.tidy()

    async def aclose(self) -> None:
        """Wait for changes that were begun, then close everything."""
        if self._writing:
            await asyncio.wait(self._writing)
        await self.words.aclose()
        await self.write(self._close)

    async def _in_turn(self, change: Callable[[], T]) -> T:
        async with self._turn:
            return await asyncio.get_running_loop().run_in_executor(self.threads.writes, change)

    async def _settled(self, change: Coroutine[Any, Any, Changes]) -> Changes:
        changes = await change
        self.on_change(changes)
        await self.words.reach(changes.upto)
        return changes

    def _put(self, items: Sequence[DocumentToPut], fingerprint: str | None) -> Changes:
        model = self.next_model or self.model
        require_model(model, fingerprint)
        documents = checked_documents(items, model.dimensions)
        require_room(self.folder, _bytes_of(documents) * _LOG_PER_ROW, self.options.reserve_bytes)
        changes = self.truth.put(documents, self.words.applied)
        self.dense.apply(changes, [] if self.next_model else [item.vectors for item in documents])
        self.version += 1
        self.shorten_log()
        return changes

    def _delete(self, ids: Sequence[str]) -> Changes:
        changes = self.truth.delete(ids, self.words.applied)
        self.dense.apply(changes, [])
        self.version += 1
        self.shorten_log()
        return changes

    def _close(self) -> None:
        self.words.readers.close()
        self.readers.close()
        self.truth.close()

    @property
    def crowded(self) -> bool:
        """Whether the head holds so much that whoever adds should wait until some of it is in segments."""
        return self.dense.view.head.count >= 2 * plan.largest_rows(self.options, self.dense.dimensions)


async def open_collection(
    folder: Path, open_words: OpenWords, threads: Threads, options: IndexOptions
) -> OpenCollection:
    """Open the collection in a folder and bring its views up to its truth.

    Raises `StorageFull`, `CollectionUnreadable`.
    """

    def load() -> OpenCollection:
        with storage_failures(), ExitStack() as undo:
            truth = Truth(folder / "chunks.db")
            undo.callback(truth.close)
            view = open_words(folder / "words")
            undo.callback(view.close)
            words = WordsApplier(view, Readers(folder / "chunks.db"), threads.writes)
            opened = OpenCollection(folder, truth, words, threads, options)
            opened.dense.reload()
            undo.pop_all()
            return opened

    opened = await asyncio.get_running_loop().run_in_executor(threads.writes, load)
    try:
        await opened.words.catch_up()
    except BaseException:
        await opened.aclose()
        raise
    return opened


def allowed_ranges(ranges: Sequence[IdRange]) -> NDArray[np.int64]:
    """Return ranges as segments want them."""
    return np.array(ranges, np.int64).reshape(-1, 2)


def _bytes_of(documents: Sequence[DocumentToPut]) -> int:
    return sum(
        item.vectors.nbytes + sum(4 * len(chunk.text) + _REST_OF_A_ROW for chunk in item.chunks) for item in documents
    )
