"""What may be done with collections: make, look, change, share, and remove them with everything that is in them."""

import asyncio
import functools
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.errors import Conflict, InvalidRequest, NotFound, TwinportError
from shared.logging import get_logger
from tools_api.db import Database
from tools_api.embeddings.protocol import Encoder
from tools_api.rag.collections import store
from tools_api.rag.collections.access import Access
from tools_api.rag.collections.values import Collection, Contents, Grant
from tools_api.rag.tables import RagCollection
from tools_api.rag.values import IndexType, Owner

_log = get_logger("rag")

_MAX_GRANTS = 1000

Removal = Callable[[str], Awaitable[None]]
"""Stops what works on the collection of an id, or removes what is kept of it; may be called again for the same one."""


class NameTaken(Conflict):
    """The owner has a collection of this name."""

    code = "collection_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a collection {name!r} already; choose another name.", param="name")


class TooManyCollections(Conflict):
    """The owner has as many collections as one may have."""

    code = "too_many_collections"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionDefaults:
    """What a new collection gets where its owner says nothing, and how many one owner may have."""

    index_type: IndexType = "Flat"
    chunk_tokens: int = 512
    per_owner: int = 1000


@dataclass(frozen=True, slots=True)
class CollectionView:
    """A collection with what is in it. `needs_reindex`: its vectors are not of today's embedding model."""

    collection: Collection
    contents: Contents
    needs_reindex: bool


class CollectionService:
    """`removals` are called in their order to remove what is kept of a collection, before the catalogue forgets it."""

    def __init__(
        self,
        database: Database,
        access: Access,
        encoder: Encoder,
        *,
        defaults: CollectionDefaults,
        removals: Sequence[Removal],
    ) -> None:
        self._database = database
        self._access = access
        self._encoder = encoder
        self._defaults = defaults
        self._removals = removals
        self._removing: dict[str, asyncio.Task[None]] = {}

    async def create(
        self,
        owner: Owner,
        name: str,
        *,
        description: str = "",
        index_type: IndexType | None = None,
        chunk_tokens: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> CollectionView:
        """Make an empty collection. Raises `NameTaken`, `TooManyCollections`."""
        record = self._record(owner, description=description, chunk_tokens=chunk_tokens, metadata=metadata or {})
        async with self._database.transaction() as db:
            await store.lock_owners(db)
            await self._require_room(db, owner, name)
            record.name, record.state = name, "active"
            record.index_type = index_type or record.index_type
            collection = await store.add(db, record)
        return CollectionView(collection, Contents(), needs_reindex=False)

    async def require_room(self, owner: Owner, name: str) -> None:
        """Raise `NameTaken` or `TooManyCollections` if a collection of this name could not be made now."""
        async with self._database.session() as db:
            await self._require_room(db, owner, name)

    async def reserve(
        self, owner: Owner, *, description: str, chunk_tokens: int | None, metadata: Mapping[str, Any]
    ) -> str:
        """Return the id of a collection that nobody reaches yet; if it is not published, the next start removes it."""
        record = self._record(owner, description=description, chunk_tokens=chunk_tokens, metadata=metadata)
        async with self._database.transaction() as db:
            await store.add(db, record)
        return record.id

    async def publish(
        self,
        owner: Owner,
        reserved: str,
        name: str,
        columns: Mapping[str, Any],
        enter: Callable[[AsyncSession], Awaitable[None]],
    ) -> CollectionView:
        """Let its owner reach a collection that was reserved, with what `enter` writes in the same transaction."""
        async with self._database.transaction() as db:
            await store.lock_owners(db)
            await self._require_room(db, owner, name)
            await enter(db)
            await store.activate(db, reserved, {**columns, "name": name})
        return await self.get(owner, reserved)

    def discard(self, reserved: str) -> None:
        """Remove a collection that was reserved, in the background."""
        self._removal(reserved)

    async def get(self, owner: Owner, reference: str) -> CollectionView:
        """Return one collection. Raises as `Access.collection` does."""
        return (await self._views([await self._access.collection(owner, reference)]))[0]

    async def page(self, owner: Owner, *, limit: int, after: str | None = None) -> tuple[list[CollectionView], bool]:
        """Return at most `limit` collections, the newest first, and whether more follow; `after` is the last one's id.

        Raises `InvalidRequest` for an `after` that is none of theirs.
        """
        everything = await self._access.visible(owner)
        start = 0
        if after is not None:
            position = next((place for place, one in enumerate(everything) if one.id == after), None)
            if position is None:
                raise InvalidRequest("after: give the `last_id` of the page before.", param="after")
            start = position + 1
        page = everything[start : start + limit]
        return await self._views(page), len(everything) > start + limit

    async def holdings(self, owner: Owner) -> tuple[int, Contents]:
        """Return how many collections a person reaches, and what is in all of them together."""
        collections = await self._access.visible(owner)
        async with self._database.session() as db:
            contents = await store.contents(db, [collection.id for collection in collections])
        return len(collections), sum(contents.values(), Contents())

    async def change(self, owner: Owner, reference: str, changes: Mapping[str, Any]) -> CollectionView:
        """Set the name, description, chunk_tokens or metadata. Raises `NameTaken`, and as `Access.collection` does."""
        collection = await self._access.collection(owner, reference, "own")
        columns = {"attributes" if field == "metadata" else field: value for field, value in changes.items()}
        try:
            async with self._database.transaction() as db:
                name: str | None = changes.get("name")
                if name and await store.name_is_taken(db, collection.owner, name, by_other_than=collection.id):
                    raise NameTaken(name)
                await store.change(db, collection.id, {**columns, "updated_at": datetime.now(UTC)})
        except IntegrityError:  # on PostgreSQL somebody else may have taken it meanwhile
            raise NameTaken(str(changes.get("name"))) from None
        return await self.get(owner, collection.id)

    async def delete(self, owner: Owner, reference: str) -> str:
        """Remove a collection and everything that is in it; return its id. At once nobody reaches it any more.

        If the process dies half way, `finish_removals` does the rest.
        """
        collection = await self._access.collection(owner, reference, "own")
        async with self._database.transaction() as db:
            await store.mark_deleting(db, collection.id, datetime.now(UTC))
        await asyncio.shield(self._removal(collection.id))
        return collection.id

    async def unfinished(self) -> Sequence[str]:
        """Return the collections whose removal, or restoring, an earlier process left unfinished."""
        async with self._database.session() as db:
            return await store.deleting(db)

    async def finish_removals(self, unfinished: Sequence[str]) -> None:
        """Remove these collections; one that fails is logged and left for the next start."""
        for collection_id in unfinished:
            await asyncio.wait({self._removal(collection_id)})

    async def grants(self, owner: Owner, reference: str) -> list[Grant]:
        """Return with whom a collection is shared."""
        collection = await self._access.collection(owner, reference, "own")
        async with self._database.session() as db:
            return await store.grants(db, collection.id)

    async def share(self, owner: Owner, reference: str, grant: Grant) -> Grant:
        """Share a collection with a person of its service, or with everybody in it. Raises `InvalidRequest`."""
        collection = await self._access.collection(owner, reference, "own")
        if grant.person == collection.owner.person:
            raise InvalidRequest("The collection belongs to this person; share it with others.", param="person")
        async with self._database.transaction() as db:
            known = await store.grants(db, collection.id)
            if len(known) >= _MAX_GRANTS and grant.person not in {one.person for one in known}:
                raise Conflict(f"A collection is shared with {_MAX_GRANTS} people at most; share it with `*` instead.")
            await store.put_grant(db, collection.id, grant, datetime.now(UTC))
        return grant

    async def unshare(self, owner: Owner, reference: str, person: str) -> None:
        """Take a grant back; it counts from the next call on. Raises `NotFound`."""
        collection = await self._access.collection(owner, reference, "own")
        if "\0" in person:
            raise NotFound("There is no such grant.", param="person")
        async with self._database.transaction() as db:
            if not await store.remove_grant(db, collection.id, person):
                raise NotFound("The collection is not shared with this person.", param="person")

    def _record(
        self, owner: Owner, *, description: str, chunk_tokens: int | None, metadata: Mapping[str, Any]
    ) -> RagCollection:
        """Return a collection without a name, which nobody reaches."""
        now = datetime.now(UTC)
        own_id = f"col_{secrets.token_hex(16)}"
        return RagCollection(
            id=own_id,
            service=owner.service,
            person=owner.person,
            name=own_id,
            description=description,
            attributes=dict(metadata),
            index_type=self._defaults.index_type,
            chunk_tokens=chunk_tokens or self._defaults.chunk_tokens,
            state="deleting",
            created_at=now,
            updated_at=now,
        )

    async def _require_room(self, db: AsyncSession, owner: Owner, name: str) -> None:
        if await store.name_is_taken(db, owner, name):
            raise NameTaken(name)
        if await store.count_of_owner(db, owner) >= self._defaults.per_owner:
            raise TooManyCollections(
                f"You have {self._defaults.per_owner} collections, the most that one may have; delete one first."
            )

    def _removal(self, collection_id: str) -> "asyncio.Task[None]":
        """Return the one task that removes a collection; it goes on when the caller who asked for it has left."""
        task = self._removing.get(collection_id)
        if task is None:
            task = asyncio.create_task(self._remove(collection_id))
            self._removing[collection_id] = task
            task.add_done_callback(functools.partial(self._removed, collection_id))
        return task

    def _removed(self, collection_id: str, task: "asyncio.Task[None]") -> None:
        self._removing.pop(collection_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:  # the caller may have left
            _log.error("collection_not_removed", collection=collection_id, error=repr(error))

    async def _remove(self, collection_id: str) -> None:
        for removal in self._removals:
            await removal(collection_id)
        async with self._database.transaction() as db:
            await store.remove(db, collection_id)
        _log.info("collection_removed", collection=collection_id)

    async def aclose(self) -> None:
        """Wait for removals that are under way."""
        await asyncio.gather(*self._removing.values(), return_exceptions=True)

    async def _views(self, collections: Sequence[Collection]) -> list[CollectionView]:
        async with self._database.session() as db:
            contents = await store.contents(db, [collection.id for collection in collections])
        return [
            CollectionView(one, contents.get(one.id, Contents()), await self._needs_reindex(one)) for one in collections
        ]

    async def _needs_reindex(self, collection: Collection) -> bool:
        if collection.fingerprint is None:
            return False
        try:
            return (await self._encoder.model()).fingerprint != collection.fingerprint
        except TwinportError:  # an encoder that does not say which model it is has no other one
            return False
