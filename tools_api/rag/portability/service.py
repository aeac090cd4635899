"""Takes collections out of the house, and in again."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from shared.errors import Conflict, StorageFull
from tools_api.rag.collections.access import Access
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.portability.about import about, write_about
from tools_api.rag.portability.files import forget_all, open_and_forget
from tools_api.rag.values import Owner

_PIECE = 256 * 1024


class NothingInIt(Conflict):
    """The collection has no passages, so there is nothing to take along."""

    code = "collection_empty"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A file that is made while it is read. `size` in bytes if it is known."""

    name: str
    pieces: AsyncGenerator[bytes, None]
    size: int | None = None


class Portability:
    """`folder` holds files on their way; what is in it at a start belongs to nobody. `open` before use."""

    def __init__(self, access: Access, indexes: Indexes, folder: Path) -> None:
        self._access = access
        self._indexes = indexes
        self._folder = folder

    async def open(self) -> None:
        """Make the folder, and clear what an earlier process left."""
        await asyncio.to_thread(forget_all, self._folder)

    async def export(self, owner: Owner, reference: str, *, vectors: bool = False) -> Outgoing:
        """Return all passages of a collection as JSON lines, in the order in which they came."""
        collection = await self._access.collection(owner, reference)
        index = await self._indexes.existing(collection.id)
        return Outgoing(f"{collection.name}.jsonl", _lines(index, vectors=vectors))

    async def snapshot(self, owner: Owner, reference: str) -> Outgoing:
        """Return one moment of a collection as a file. Raises `NothingInIt`, `StorageFull`."""
        collection = await self._access.collection(owner, reference)
        index = await self._indexes.existing(collection.id)
        if index is None:
            raise NothingInIt(f"The collection {collection.name!r} is empty: there is nothing to save.")
        path = self._folder / f"{secrets.token_hex(16)}.zip"
        try:
            await index.snapshot(path)
            await asyncio.to_thread(write_about, path, about(collection))
            file, size = await asyncio.to_thread(open_and_forget, path)
        except OSError as error:
            raise StorageFull("The disk of the tools API is full or not writable.") from error
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        return Outgoing(f"{collection.name}.snapshot.zip", _pieces(file), size)


async def _lines(index: CollectionIndex | None, *, vectors: bool) -> AsyncGenerator[bytes, None]:
    """Yield JSON lines in pieces worth sending. Nothing is read ahead of who takes them."""
    piece = bytearray()
    if index is not None:
        async with aclosing(index.export(vectors=vectors)) as rows:
            async for row in rows:
                piece += orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
                if len(piece) >= _PIECE:
                    yield bytes(piece)
                    piece.clear()
    if piece:
        yield bytes(piece)


async def _pieces(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    with file:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece
