"""Reads documents in their order: around a passage, or on from one."""

from collections.abc import Sequence

from shared.errors import Conflict, NotFound
from tools_api.db import Database
from tools_api.rag.collections.access import Access
from tools_api.rag.collections.values import Collection
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.reading import store
from tools_api.rag.reading.values import Named, Stretch
from tools_api.rag.values import Owner

_MOST_CALLED = 10


class DocumentNotFound(NotFound):
    """There is no such document, it is somebody else's, or it is not searchable yet."""

    code = "document_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such document, or it is not ready to be read yet.", param="document")


class AmbiguousDocument(Conflict):
    """Several documents have this as the last part of their name."""

    code = "ambiguous_document"


class Reading:
    """Finds documents in the catalogue and their passages in the indexes."""

    def __init__(self, database: Database, access: Access, indexes: Indexes) -> None:
        self._database = database
        self._access = access
        self._indexes = indexes

    async def called(self, collections: Sequence[Collection], name: str) -> list[Named]:
        """Return the searchable documents that somebody may mean by an id or a name; none is no error."""
        if not name or "\0" in name:
            return []
        async with self._database.session() as db:
            return await store.called(db, [one.id for one in collections], name, limit=_MOST_CALLED)

    async def unfinished(self, collections: Sequence[Collection]) -> int:
        """Return how many documents of these collections are not searchable yet, but will be."""
        async with self._database.session() as db:
            return await store.unfinished(db, [one.id for one in collections])

    async def names_in(self, collection: Collection, *, limit: int) -> list[Named]:
        """Return up to `limit` searchable documents of a collection, by name."""
        async with self._database.session() as db:
            return await store.names_in(db, collection.id, limit=limit)

    async def neighbourhood(
        self, owner: Owner, reference: str, document: str, *, around: int, before: int, after: int
    ) -> Stretch:
        """Return a passage by its ordinal (from 0), and those before and after it.

        Raises `DocumentNotFound`, `AmbiguousDocument`.
        """
        collection = await self._access.collection(owner, reference)
        named = await self.called([collection], document)
        if not named:
            raise DocumentNotFound
        if len({one.indexed_id for one in named}) > 1:
            listed = ", ".join(f"{one.name} ({one.indexed_id})" for one in named[:5])
            raise AmbiguousDocument(
                f"Several documents are called {document[:100]!r}; say which by its id: {listed}.", param="document"
            )
        return await self.stretch(collection, named[0], around=around, before=before, after=after)

    async def stretch(self, collection: Collection, named: Named, *, around: int, before: int, after: int) -> Stretch:
        """Return passages of a document that was found. Raises `DocumentNotFound` if it went meanwhile."""
        index = await self._indexes.existing(collection.id)
        if index is None:
            raise DocumentNotFound
        try:
            indexed = await index.document(named.indexed_id)
            passages = await index.neighbourhood(named.indexed_id, around=around, before=before, after=after)
        except NotFound:
            raise DocumentNotFound from None
        return Stretch(collection, indexed.record, tuple(passages), indexed.chunks)
