"""Makes a collection from a snapshot. Until it is whole it counts as one being removed, so a crash leaves nothing."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from sqlmodel.ext.asyncio.session import AsyncSession

from shared.errors import InvalidRequest
from tools_api.rag.collections.service import CollectionService, CollectionView
from tools_api.rag.documents.adoption import Adopted, adopt
from tools_api.rag.documents.service import DocumentService
from tools_api.rag.documents.values import Limits
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.index.values import Restored, RestoreLimits
from tools_api.rag.portability.about import About, read_about
from tools_api.rag.portability.files import receive
from tools_api.rag.values import Owner

_PAGE = 1000
_UNPACKED = 16
"""How many times larger than the file a snapshot may be: texts are packed to a fifth at best, vectors not at all."""
_AT_ONCE = 2


class Restoring:
    """`folder` holds files on their way, which count against their owner's share as uploads do.

    At most two are restored at a time; the others wait. They wait with their file here: a turn is not for those who
    send slowly.
    """

    def __init__(
        self,
        collections: CollectionService,
        documents: DocumentService,
        indexes: Indexes,
        folder: Path,
        limits: Limits,
    ) -> None:
        self._collections = collections
        self._documents = documents
        self._indexes = indexes
        self._folder = folder
        self._limits = limits
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def restore(self, owner: Owner, body: AsyncIterator[bytes], name: str | None) -> CollectionView:
        """Return the new collection, called `name`, or else as the snapshot says.

        Raises `InvalidRequest`, `NameTaken`, `TooManyCollections`, `QuotaExceeded`, `StorageFull`.
        """
        path = self._folder / f"{secrets.token_hex(16)}.incoming"
        reservation = await self._documents.reservation(owner)
        try:
            await receive(body, path, reservation.take)
            async with self._turns:
                return await self._restored(owner, path, name)
        finally:
            reservation.close()
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _restored(self, owner: Owner, path: Path, name: str | None) -> CollectionView:
        said = await asyncio.to_thread(read_about, path)
        called = name or said.name
        if called is None:
            raise InvalidRequest("name: the snapshot has none; say what the collection is to be called.", param="name")
        await self._collections.require_room(owner, called)
        reserved = await self._collections.reserve(
            owner, description=said.description, chunk_tokens=said.chunk_tokens, metadata=said.metadata
        )
        try:
            return await self._filled(owner, reserved, path, called, said)
        except BaseException:
            self._collections.discard(reserved)
            raise

    async def _filled(self, owner: Owner, reserved: str, path: Path, name: str, said: About) -> CollectionView:
        size = await asyncio.to_thread(lambda: path.stat().st_size)
        restored = await self._indexes.restore(
            reserved,
            path,
            new_id=lambda _: f"doc_{secrets.token_hex(16)}",
            limits=RestoreLimits(bytes=_UNPACKED * size + 1_000_000, documents=self._limits.owner_files),
        )
        documents = await self._adopted(reserved, restored, size)

        async def enter(db: AsyncSession) -> None:
            await adopt(db, owner, reserved, documents, limits=self._limits, now=datetime.now(UTC))

        columns = {
            "embedding_model": said.embedding_model,
            "embedding_fingerprint": restored.model.fingerprint if restored.chunks else None,
            "dimensions": restored.model.dimensions,
            "index_type": restored.index_type,
        }
        return await self._collections.publish(owner, reserved, name, columns, enter)

    async def _adopted(self, collection_id: str, restored: Restored, size: int) -> list[Adopted]:
        """Return the documents of the new index, each with its share of the snapshot's bytes."""
        index = await self._indexes.existing(collection_id)
        share = -(-size // max(1, restored.documents))
        found: list[Adopted] = []
        while index is not None and (page := await index.documents(after=_last(found), limit=_PAGE)):
            found += [Adopted(one.record, one.chunks, share) for one in page]
        return found


def _last(found: list[Adopted]) -> str:
    return found[-1].record.id if found else ""
