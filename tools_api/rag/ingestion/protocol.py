"""What ingestion needs of its neighbours."""

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Protocol

from tools_api.rag.index.values import DocumentToPut, IndexStats, VectorModel
from tools_api.rag.parsing.values import Chunking, ParseInput, Result
from tools_api.rag.values import IndexType, StoredChunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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

    async def model(self) -> VectorModel:
        """Return the embedding model whose vectors are searched."""
        ...

    async def begin_generation(self, fingerprint: str, dimensions: int) -> None:
        """Begin to fill in vectors of another model, or go on; what is put from now on is of that one."""
        ...

    async def lacking_vectors(self, *, after: int = 0, limit: int = 256) -> list[StoredChunk]:
        """Return chunks behind the id `after` that lack a vector of the other model, in the order of their ids."""
        ...

    async def fill(self, ids: Sequence[int], vectors: "NDArray[np.float32]") -> None:
        """Give chunks their vectors of the other model. Raises `StorageFull`."""
        ...

    async def commit_generation(self) -> None:
        """Search the other model's vectors from now on. Raises `Conflict` if chunks lack theirs."""
        ...

    async def abandon_generation(self) -> None:
        """Forget what was filled in."""
        ...

    async def without_vectors(self) -> list[str]:
        """Return the documents that have no vectors of the model that is searched."""
        ...

    async def stats(self) -> IndexStats:
        """Say what the collection holds."""
        ...


class Indexes(Protocol):
    """The indexes of all collections."""

    async def open(self, collection_id: str, model: VectorModel, index_type: IndexType) -> Index:
        """Return the index of a collection, made if it is not there."""
        ...

    async def existing(self, collection_id: str) -> Index | None:
        """Return the index of a collection if there is one."""
        ...
