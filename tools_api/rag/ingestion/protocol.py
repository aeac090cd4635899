"""What ingestion needs of its neighbours."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from tools_api.rag.index.values import DocumentToPut, VectorModel
from tools_api.rag.parsing.values import Chunking, ParseInput, Result
from tools_api.rag.values import IndexType


class Parser(Protocol):
    """Reads files where untrusted bytes may be read."""

    def parse(self, files: Sequence[ParseInput], chunking: Chunking) -> AsyncGenerator[tuple[str, Result]]:
        """Yield the id of each file, in any order, with what it holds or why it can't be read."""
        ...


class Index(Protocol):
    """The index of one collection."""

    async def put_many(self, documents: Sequence[DocumentToPut], *, fingerprint: str | None = None) -> None:
        """Put documents in the place of their earlier versions, all or none. Raises `Conflict` for the vectors of a
        model that is not the collection's, and `StorageFull`."""
        ...

    async def delete(self, document_ids: Sequence[str]) -> int:
        """Remove documents and return how many were there; none of them is found any more."""
        ...


class Indexes(Protocol):
    """The indexes of all collections."""

    async def open(self, collection_id: str, model: VectorModel, index_type: IndexType) -> Index:
        """Return the index of a collection, made if it is not there."""
        ...

    async def existing(self, collection_id: str) -> Index | None:
        """Return the index of a collection if there is one."""
        ...
