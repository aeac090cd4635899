"""Documents and ingestion on a real catalogue and real workflows, with neighbours in memory."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.tools_api.rag.archives import NoArchives
from tests.tools_api.rag.ingestion.fakes import HashEncoder, MemoryIndex, MemoryIndexes, PlainParser
from tools_api.db import Database
from tools_api.rag.collections.access import Access
from tools_api.rag.collections.service import CollectionDefaults, CollectionService
from tools_api.rag.documents.intake import Intake
from tools_api.rag.documents.service import DocumentService
from tools_api.rag.documents.values import Limits, Upload
from tools_api.rag.ingestion.jobs import JobService
from tools_api.rag.ingestion.open import IngestionOptions, Neighbours, open_ingestion
from tools_api.rag.ingestion.service import Pace
from tools_api.rag.ingestion.values import ENDED, Job
from tools_api.rag.values import Owner

ADA = Owner("service", "ada")
BOB = Owner("service", "bob")


@dataclass
class Files:
    """An upload in memory."""

    files: Mapping[str, str]
    metadata: Mapping[str, Any] | None = None

    async def read_into(self, intake: Intake) -> Mapping[str, Any] | None:
        for name, text in self.files.items():
            await intake.begin(name, None)
            await intake.write(text.encode())
            await intake.end()
        return self.metadata


@dataclass
class World:
    """What a test works with. The neighbours outlive a restart."""

    folder: Path
    database: Database
    parser: PlainParser = field(default_factory=PlainParser)
    encoder: HashEncoder = field(default_factory=HashEncoder)
    indexes: Any = field(default_factory=MemoryIndexes)
    """In memory, or the real ones."""
    jobs_url: str | None = None
    limits: Limits = field(
        default_factory=lambda: Limits(file_bytes=1 << 20, files=1000, owner_bytes=1 << 30, owner_files=100_000)
    )

    @asynccontextmanager
    async def running(self, *, reindex: Literal["auto", "manual"] = "auto", **pace: Any) -> AsyncGenerator["Running"]:
        access = Access(self.database)
        options = IngestionOptions(
            folder=self.folder / "rag",
            jobs_url=self.jobs_url or f"sqlite:///{self.folder / 'jobs.db'}",
            limits=self.limits,
            reindex=reindex,
            pace=Pace(**{"pause_s": 0.05, **pace}),
        )
        neighbours = Neighbours(
            database=self.database,
            access=access,
            archives=NoArchives(),
            parser=self.parser,
            encoder=self.encoder,
            indexes=self.indexes,
            tokenizer=lambda: None,
        )
        async with open_ingestion(options, neighbours) as opened:
            collections = CollectionService(
                self.database,
                access,
                self.encoder,
                defaults=CollectionDefaults(),
                removals=[opened.documents.remove_collection],
            )
            yield Running(self, opened.documents, opened.jobs, collections)


@dataclass
class Running:
    """Documents and ingestion as long as they run."""

    world: World
    documents: DocumentService
    jobs: JobService
    collections: CollectionService

    async def collection(self, owner: Owner = ADA, name: str = "docs") -> str:
        return (await self.collections.create(owner, name)).collection.id

    async def upload(
        self,
        files: Mapping[str, str],
        *,
        owner: Owner = ADA,
        to: str = "docs",
        metadata: Mapping[str, Any] | None = None,
    ) -> Upload:
        return await self.documents.upload(owner, to, Files(files, metadata))

    async def finished(self, job_id: str, owner: Owner = ADA) -> Job:
        """Wait until a job has ended."""
        async with asyncio.timeout(30):
            while (job := await self.jobs.get(owner, job_id)).state not in ENDED:
                await asyncio.sleep(0.02)
        return job

    async def index(self, owner: Owner = ADA, of: str = "docs") -> MemoryIndex:
        collection = await self.collections.get(owner, of)
        return self.world.indexes.by_collection.setdefault(collection.collection.id, MemoryIndex())
