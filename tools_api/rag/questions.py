"""Questions to the documents that a person reaches: what they may ask is decided here, the searches answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from tools_api.rag.collections.access import Access
from tools_api.rag.collections.values import Collection
from tools_api.rag.search.exact import ExactSearch
from tools_api.rag.search.exact_values import ExactAnswer, ExactQuery
from tools_api.rag.search.service import SearchService
from tools_api.rag.search.values import SearchAnswer, Searched, SearchQuery
from tools_api.rag.values import Owner


@dataclass(frozen=True, slots=True)
class Grepped:
    """What exact search found, and the names of the collections by their ids."""

    answer: ExactAnswer
    names: dict[str, str]


class Questions:
    """Asks for a person, of the collections that they name, or of all that they reach."""

    def __init__(self, access: Access, searches: SearchService, exact: ExactSearch) -> None:
        self._access = access
        self._searches = searches
        self._exact = exact

    async def search(self, owner: Owner, references: Sequence[str] | None, query: SearchQuery) -> SearchAnswer:
        """Raises as `Access.visible` and `SearchService.search` do."""
        return await self.search_in(await self._access.visible(owner, references), query)

    async def grep(self, owner: Owner, references: Sequence[str] | None, query: ExactQuery) -> Grepped:
        """Raises as `Access.visible` and `ExactSearch.search` do."""
        return await self.grep_in(await self._access.visible(owner, references), query)

    async def search_in(self, collections: Sequence[Collection], query: SearchQuery) -> SearchAnswer:
        """Search collections that `Access` gave."""
        searched = [Searched(id=one.id, name=one.name, fingerprint=one.fingerprint) for one in collections]
        return await self._searches.search(searched, query)

    async def grep_in(self, collections: Sequence[Collection], query: ExactQuery) -> Grepped:
        """Look for exact text in collections that `Access` gave."""
        answer = await self._exact.search([one.id for one in collections], query)
        return Grepped(answer, {one.id: one.name for one in collections})
