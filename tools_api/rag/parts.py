"""The parts of retrieval that its doors use, once they are open."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # handlers name this class at import, when neither a database nor an index is wanted yet
    from tools_api.embeddings.protocol import Encoder
    from tools_api.rag.collections.access import Access
    from tools_api.rag.collections.service import CollectionService
    from tools_api.rag.documents.service import DocumentService
    from tools_api.rag.index.indexes import Indexes
    from tools_api.rag.ingestion.jobs import JobService
    from tools_api.rag.portability.restoring import Restoring
    from tools_api.rag.portability.service import Portability
    from tools_api.rag.questions import Questions
    from tools_api.rag.reading.service import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Each belongs to the folder that it is imported from."""

    access: "Access"
    collections: "CollectionService"
    documents: "DocumentService"
    encoder: "Encoder"
    indexes: "Indexes"
    jobs: "JobService"
    portability: "Portability"
    questions: "Questions"
    reading: "Reading"
    restoring: "Restoring"
