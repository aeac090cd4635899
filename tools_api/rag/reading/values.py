"""A document as it is called, and a stretch of one."""

from dataclasses import dataclass

from tools_api.rag.collections.values import Collection
from tools_api.rag.values import DocumentRecord, StoredChunk


@dataclass(frozen=True, slots=True)
class Named:
    """A searchable document. `indexed_id` is the one that its passages are kept under: of documents with the same
    content in a collection, one is indexed for all."""

    collection_id: str
    indexed_id: str
    name: str
    media_type: str
    pages: int | None
    chunks: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Passages of a document that follow one another, out of `chunks` that it has."""

    collection: Collection
    document: DocumentRecord
    passages: tuple[StoredChunk, ...]
    chunks: int
