"""Who reaches which collection: the one place that decides it.

A person reaches their own collections and those that were shared with them or with everybody of their service. For them
nothing else exists, by id, by name or by guess: what is not theirs is not found.
"""

from collections.abc import Sequence

from shared.errors import Conflict, NotFound, PermissionDenied
from tools_api.db import Database
from tools_api.rag.collections import store
from tools_api.rag.collections.values import Collection, Need, is_collection_id, normal_name
from tools_api.rag.values import Owner


class CollectionNotFound(NotFound):
    """There is no such collection, or it is somebody else's."""

    code = "collection_not_found"

    def __init__(self, reference: str) -> None:
        super().__init__(f"There is no collection {reference[:100]!r}.", param="collection")
        self.reference = reference


class AmbiguousCollection(Conflict):
    """Several collections that were shared have this name."""

    code = "ambiguous_collection"


class Access:
    """Answers from the database each time, so that a grant that was taken back counts at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def collection(self, owner: Owner, id_or_name: str, need: Need = "read") -> Collection:
        """Return the collection of this id, or else of this name: an own one before those that others share.

        Raises `CollectionNotFound`, `AmbiguousCollection`, and `PermissionDenied` for one that may only be read.
        """
        async with self._database.session() as db:
            if is_collection_id(id_or_name):
                found = await store.visible(db, owner, ids=[id_or_name])
            elif (name := normal_name(id_or_name)) is not None:
                found = await store.visible(db, owner, names=[name])
            else:
                found = []
        collection = _chosen(found, id_or_name)
        if not collection.allows(need):
            raise PermissionDenied(_REFUSALS[need].format(collection.name))
        return collection

    async def visible(self, owner: Owner, references: Sequence[str] | None = None) -> list[Collection]:
        """Return what the person reaches: those of these ids or names, each once, or all, the newest first.

        Raises `CollectionNotFound`, `AmbiguousCollection`.
        """
        if references is None:
            async with self._database.session() as db:
                return await store.visible(db, owner)
        ids = [reference for reference in references if is_collection_id(reference)]
        names = [name for reference in references if (name := normal_name(reference)) is not None]
        async with self._database.session() as db:
            found = await store.visible(db, owner, ids=ids, names=names)
        chosen = [_chosen(_matching(found, reference), reference) for reference in references]
        return list({collection.id: collection for collection in chosen}.values())


_REFUSALS: dict[Need, str] = {
    "read": "",
    "write": "The collection {!r} was shared with you for reading only; its owner can make you a writer.",
    "own": "Only its owner may do that with the collection {!r}.",
}


def _matching(found: Sequence[Collection], reference: str) -> list[Collection]:
    name = normal_name(reference)
    return [collection for collection in found if collection.id == reference or collection.name == name]


def _chosen(found: Sequence[Collection], reference: str) -> Collection:
    own = [collection for collection in found if collection.role == "owner"]
    candidates = own or found
    if not candidates:
        raise CollectionNotFound(reference)
    if len(candidates) > 1:
        listed = ", ".join(collection.id for collection in candidates[:5])
        raise AmbiguousCollection(
            f"Several collections that others share are called {reference[:100]!r}; say which by its id: {listed}.",
            param="collection",
        )
    return candidates[0]
