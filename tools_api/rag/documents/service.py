"""`DocumentService`: the rules by which documents come, are looked at, and go."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from shared.errors import Conflict, NotFound
from tools_api.db import Database
from tools_api.rag.collections.access import Access, CollectionNotFound
from tools_api.rag.collections.values import Collection
from tools_api.rag.documents import store
from tools_api.rag.documents.intake import Archives, InFlight, Intake, Reservation, UploadSource, no_room, receiving
from tools_api.rag.documents.locks import Locks
from tools_api.rag.documents.originals import Originals
from tools_api.rag.documents.registration import Registered, register
from tools_api.rag.documents.removals import Removals
from tools_api.rag.documents.values import UNFINISHED, Document, DocumentState, Draft, Limits, Upload
from tools_api.rag.values import Owner


class DocumentNotFound(NotFound):
    """The collection has no such document."""

    code = "document_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such document in this collection.", param="document")


class Standings(Protocol):
    """Knows how far documents are that are worked on now."""

    def seen(self, document: Document) -> Document:
        """Return a document as it stands now."""
        ...


class Worker(Protocol):
    """What works on documents, as those who bring and remove them see it."""

    def wake(self) -> None:
        """Say that documents wait."""
        ...

    def interrupt(self, document_ids: Sequence[str], *, job_id: str | None = None) -> None:
        """Stop working on these documents, or on this job: they were changed, cancelled or removed."""
        ...

    async def unindex(self, collection_id: str, document_ids: Sequence[str]) -> None:
        """Take documents out of the index and the spool; when it returns, no search finds them."""
        ...

    async def close_job(self, job_id: str | None) -> None:
        """Finish a job if nothing of it is left to do."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """A document's original: its label and type, its size in bytes and the bytes."""

    name: str
    media_type: str
    size: int
    chunks: AsyncIterator[bytes]


class DocumentService:
    """Documents in the catalogue and their originals; `worker` makes them searchable. `open` before use."""

    def __init__(
        self,
        database: Database,
        access: Access,
        originals: Originals,
        archives: Archives,
        worker: Worker,
        *,
        limits: Limits,
        locks: Locks,
        board: Standings,
    ) -> None:
        self._database = database
        self._access = access
        self._originals = originals
        self._archives = archives
        self._worker = worker
        self._limits = limits
        self._locks = locks
        self._board = board
        self._in_flight = InFlight()
        self._removals = Removals()

    async def open(self) -> None:
        """Make the folders and clear away what a crash left: drafts, originals of nobody, half removed documents."""
        await self._originals.open()
        async with self._database.session() as db:
            known = {
                collection_id: await store.digests(db, collection_id) for collection_id in await store.collections(db)
            }
            unfinished = await store.deleting(db)
            stale = await store.stale_copies(db)
        for collection_id, digests in known.items():
            await self._originals.sweep(collection_id, digests)
        for collection_id, document_id in unfinished:
            self._begin_removal(collection_id, document_id)
        for collection_id in {collection_id for collection_id, _ in stale}:
            self._begin_unindexing(collection_id, key=collection_id)

    async def aclose(self) -> None:
        """Wait for removals that are under way."""
        await self._removals.aclose()

    async def upload(self, owner: Owner, reference: str, source: UploadSource) -> Upload:
        """Take files into a collection and queue them. Raises `PayloadTooLarge`, `QuotaExceeded`, `StorageFull`."""
        collection = await self._access.collection(owner, reference, "write")
        intake = Intake(self._originals, self._limits, await self.reservation(collection.owner))
        async with receiving(intake):
            metadata = await source.read_into(intake)
            await intake.unpack(self._archives)
            intake.check()
            registered = await self._register(collection, owner, intake.files, metadata)
        self._worker.interrupt(registered.interrupted)
        await self._forget(collection.id, registered)
        for job_id in registered.left:
            await self._worker.close_job(job_id)
        self._worker.wake()
        return Upload(registered.job_id, tuple(registered.files))

    async def reservation(self, owner: Owner) -> Reservation:
        """Begin to count what a request brings against an owner's share; whoever asks closes it."""
        async with self._database.session() as db:
            _, used_bytes = await store.used(db, owner)
        return Reservation(self._limits, owner=owner, used_bytes=used_bytes, in_flight=self._in_flight)

    async def page(
        self, owner: Owner, reference: str, *, limit: int, after: str | None, state: DocumentState | None
    ) -> tuple[list[Document], bool]:
        """Return a page of a collection's documents, the newest first, and whether there are more."""
        collection = await self._access.collection(owner, reference)
        async with self._database.session() as db:
            documents = await store.page(db, collection.id, limit=limit + 1, after=after, state=state)
        return [self._board.seen(one) for one in documents[:limit]], len(documents) > limit

    async def get(self, owner: Owner, reference: str, document_id: str) -> Document:
        """Return a document. Raises `DocumentNotFound`."""
        collection = await self._access.collection(owner, reference)
        return await self._document(collection, document_id)

    async def content(self, owner: Owner, reference: str, document_id: str) -> Content:
        """Return a document's original as it was uploaded last. Raises `DocumentNotFound`."""
        document = await self.get(owner, reference, document_id)
        original = self._originals.path(document.collection_id, document.sha256)
        if not await asyncio.to_thread(original.exists):  # of a restored collection
            raise NotFound(
                "The original of this document is not here, only its text: upload it again.", param="document"
            )
        chunks = self._originals.chunks(document.collection_id, document.sha256)
        return Content(document.name, document.media_type, document.size, chunks)

    async def retry(self, owner: Owner, reference: str, document_id: str) -> Document:
        """Queue a document again that failed or was cancelled. Raises `DocumentNotFound`, `Conflict`."""
        collection = await self._access.collection(owner, reference, "write")
        now = datetime.now(UTC)
        async with self._database.transaction() as db:
            row = await store.row(db, collection.id, document_id)
            if row is None:
                raise DocumentNotFound
            if row.state not in {"failed", "cancelled"}:
                raise Conflict(f"The document is {row.state}; only one that failed or was cancelled is tried again.")
            await store.requeue_with_copies(db, row.duplicate_of or row.id, now)
        self._worker.wake()
        return await self._document(collection, document_id)

    async def cancel(self, owner: Owner, reference: str, document_id: str) -> Document:
        """Stop working on a document; an earlier version of it stays searchable. Raises `DocumentNotFound`."""
        collection = await self._access.collection(owner, reference, "write")
        document = await self._document(collection, document_id)
        if document.duplicate_of is not None:
            raise Conflict(f"The document has the content of {document.duplicate_of}, which is worked on for both.")
        async with self._locks.index(collection.id), self._database.transaction() as db:
            jobs = await store.cancel(db, [document_id], datetime.now(UTC))
        self._worker.interrupt([document_id])
        for job_id in jobs:
            await self._worker.close_job(job_id)
        return await self._document(collection, document_id)

    async def delete(self, owner: Owner, reference: str, document_id: str) -> None:
        """Remove a document from searches, the catalogue and the disk. Raises `DocumentNotFound`, `StorageFull`.

        When it returns nobody finds it. If that fails, or a crash comes between, it is tried until it is done; asking
        again tries at once.
        """
        collection = await self._access.collection(owner, reference, "write")
        async with self._database.transaction() as db:
            row = await store.mark_deleting(db, collection.id, document_id, datetime.now(UTC))
            if row is None:
                raise DocumentNotFound
            await store.promote_duplicate(db, document_id, datetime.now(UTC))
        self._worker.interrupt([document_id])
        await asyncio.shield(self._begin_removal(collection.id, document_id))
        self._worker.wake()

    async def remove_collection(self, collection_id: str) -> None:
        """Stop what is done for a collection and remove its originals; its rows go with its own."""
        async with self._database.transaction() as db:
            unfinished = await store.ids_in(db, collection_id, UNFINISHED)
            await store.cancel(db, unfinished, datetime.now(UTC))
        self._worker.interrupt(unfinished)
        async with self._locks.index(collection_id), self._locks.files(collection_id):
            await self._originals.remove_collection(collection_id)

    async def _document(self, collection: Collection, document_id: str) -> Document:
        async with self._database.session() as db:
            document = await store.get(db, collection.id, document_id)
        if document is None:
            raise DocumentNotFound
        return self._board.seen(document)

    async def _register(
        self, collection: Collection, who: Owner, files: Sequence[Draft], metadata: Mapping[str, Any] | None
    ) -> Registered:
        """Keep the files and enter them. Nobody may remove a file of theirs as unused between the two."""
        async with self._locks.files(collection.id):
            entered = False
            try:
                await self._originals.keep(collection.id, files)
                async with self._database.transaction() as db:
                    await store.lock_owners(db)
                    if not await store.is_there(db, collection.id):  # it was removed while the files came
                        raise CollectionNotFound(collection.name)
                    now = datetime.now(UTC)
                    registered = await register(db, collection.id, who, files, metadata=metadata, now=now)
                    count, size = await store.used(db, collection.owner)
                    if count > self._limits.owner_files or size > self._limits.owner_bytes:
                        raise no_room(self._limits)
                entered = True
            finally:
                if not entered:
                    await self._discard(collection.id, [file.sha256 for file in files])
        return registered

    async def _forget(self, collection_id: str, registered: Registered) -> None:
        if registered.unindexed:
            unindexing = self._begin_unindexing(collection_id, key=registered.job_id)
            await asyncio.wait({unindexing})  # if it fails, it is tried until it is done
        await self._remove_unused(collection_id, registered.replaced)

    def _begin_removal(self, collection_id: str, document_id: str) -> asyncio.Task[None]:
        """Remove in a task: it goes on when the caller who asked for it has left."""
        return self._removals.begin(document_id, lambda: self._remove(collection_id, document_id))

    def _begin_unindexing(self, collection_id: str, *, key: str) -> asyncio.Task[None]:
        return self._removals.begin(key, lambda: self._unindex_copies(collection_id))

    async def _unindex_copies(self, collection_id: str) -> None:
        """Take out of the index what documents had there that are duplicates now."""
        async with self._database.session() as db:
            ids = [document_id for _, document_id in await store.stale_copies(db, collection_id)]
        if ids:
            await self._worker.unindex(collection_id, ids)
            async with self._database.transaction() as db:
                await store.mark_unindexed(db, ids)

    async def _remove(self, collection_id: str, document_id: str) -> None:
        await self._worker.unindex(collection_id, [document_id])
        async with self._database.transaction() as db:
            gone = await store.remove(db, document_id)
        if gone is not None:
            await self._remove_unused(collection_id, [gone.sha256])
            await self._worker.close_job(gone.job_id)

    async def _remove_unused(self, collection_id: str, digests: Sequence[str]) -> None:
        async with self._locks.files(collection_id):
            await self._discard(collection_id, digests)

    async def _discard(self, collection_id: str, digests: Sequence[str]) -> None:
        """Remove contents that no document has; the caller holds the lock of the files."""
        async with self._database.session() as db:
            unused = [one for one in set(digests) if not await store.is_wanted(db, collection_id, one)]
        await self._originals.remove(collection_id, unused)
