"""What search asks of collections' indexes; `tools_api/rag/index` offers it."""

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Protocol

from tools_api.rag.values import Filter, ScoredChunk, StoredChunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SearchableCollection(Protocol):
    """A collection's two indexes, and its chunks. Any call may raise `NotFound` when the collection was removed."""

    async def search_dense(
        self, vector: "NDArray[np.float32]", k: int, where: Filter | None = None
    ) -> list[ScoredChunk]:
        """Return the chunks with the highest cosines, best first."""
        ...

    async def search_words(self, query: str, k: int, where: Filter | None = None) -> list[ScoredChunk]:
        """Return the best chunks by BM25, best first."""
        ...

    async def most_by_words(self, query: str) -> float:
        """Return the BM25 that no chunk's text can pass for this question."""
        ...

    async def chunks(self, ids: Sequence[int]) -> list[StoredChunk]:
        """Return chunks by their ids; those that are not there any more are left out."""
        ...

    def iterate(self, where: Filter | None = None, *, after: int = 0) -> AsyncGenerator[list[StoredChunk]]:
        """Yield the chunks behind an id in their order, in batches."""
        ...


class Collections(Protocol):
    """Finds collections by their ids."""

    async def existing(self, collection_id: str) -> SearchableCollection | None:
        """Return a collection's index, None if nothing was ever put into it."""
        ...
