"""Documents without anybody who works on them: the catalogue and the originals only."""

from collections.abc import Sequence
from pathlib import Path

from tests.tools_api.rag.archives import NoArchives
from tests.tools_api.rag.encoders import NamedEncoder
from tools_api.db import Database
from tools_api.rag.collections.access import Access
from tools_api.rag.collections.service import CollectionDefaults, CollectionService
from tools_api.rag.documents.intake import Archives
from tools_api.rag.documents.locks import Locks
from tools_api.rag.documents.originals import Originals
from tools_api.rag.documents.service import DocumentService
from tools_api.rag.documents.values import Limits
from tools_api.rag.ingestion.board import Board


class IdleWorker:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.interrupted: list[str] = []
        self.unindexed: list[str] = []
        self.woken = 0
        self.broken: Exception | None = None
        """What `unindex` raises."""

    def wake(self) -> None:
        self.woken += 1

    def interrupt(self, document_ids: Sequence[str], *, job_id: str | None = None) -> None:
        self.interrupted += document_ids

    async def unindex(self, collection_id: str, document_ids: Sequence[str]) -> None:
        if self.broken is not None:
            raise self.broken
        self.unindexed += document_ids

    async def close_job(self, job_id: str | None) -> None:
        pass


class Idle:
    """A service for documents on a folder and a catalogue."""

    def __init__(self, folder: Path, database: Database, limits: Limits, archives: Archives | None = None) -> None:
        self.worker = IdleWorker()
        self.originals = folder / "originals"
        access = Access(database)
        self.documents = DocumentService(
            database,
            access,
            Originals(self.originals),
            archives or NoArchives(),
            self.worker,
            limits=limits,
            locks=Locks(),
            board=Board(),
        )
        self.collections = CollectionService(
            database, access, NamedEncoder("model-1"), defaults=CollectionDefaults(), removals=[]
        )

    def kept(self) -> list[bytes]:
        """Return the contents of all files below the originals, drafts included."""
        return sorted(path.read_bytes() for path in self.originals.rglob("*") if path.is_file())
