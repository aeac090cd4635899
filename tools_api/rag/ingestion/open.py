"""Opens documents and their ingestion on what they stand on, and closes them in the other order."""

import asyncio
import fcntl
import os
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from shared.errors import Unavailable
from tools_api.db import Database
from tools_api.embeddings.protocol import Encoder
from tools_api.rag.collections.access import Access
from tools_api.rag.documents.intake import Archives
from tools_api.rag.documents.locks import Locks
from tools_api.rag.documents.originals import Originals
from tools_api.rag.documents.service import DocumentService
from tools_api.rag.documents.values import Limits
from tools_api.rag.ingestion.board import Board
from tools_api.rag.ingestion.jobs import JobService
from tools_api.rag.ingestion.protocol import Indexes, Parser
from tools_api.rag.ingestion.service import Ingestion, Pace
from tools_api.rag.ingestion.spool import Spool
from tools_api.rag.ingestion.work import Tools
from tools_api.rag.ingestion.workflows import WorkflowOptions


class DataFolderInUse(Unavailable):
    """Another process works on the same data folder."""

    code = "data_folder_in_use"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionOptions:
    """`folder` is where originals and unfinished work are kept, `jobs_url` the database of workflows. `reindex` says
    whether collections get vectors of a new embedding model by themselves."""

    folder: Path
    jobs_url: str
    limits: Limits
    reindex: Literal["auto", "manual"] = "auto"
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """What documents and ingestion use of the other parts. `tokenizer` says where the embedding model's tokenizer.json
    is, if it has one."""

    database: Database
    access: Access
    archives: Archives
    parser: Parser
    encoder: Encoder
    indexes: Indexes
    tokenizer: Callable[[], Path | None]


@dataclass(frozen=True, slots=True)
class Opened:
    """What the doors use."""

    documents: DocumentService
    jobs: JobService


@asynccontextmanager
async def open_ingestion(options: IngestionOptions, neighbours: Neighbours) -> AsyncGenerator[Opened]:
    """Yield documents and jobs; what an earlier process left is gone on with. Raises `DataFolderInUse`."""
    async with AsyncExitStack() as stack:
        lock = await asyncio.to_thread(_lock, options.folder)
        stack.callback(os.close, lock)
        originals, board, locks = Originals(options.folder / "originals"), Board(), Locks()
        tools = Tools(
            database=neighbours.database,
            originals=originals,
            spool=Spool(options.folder / "spool"),
            parser=neighbours.parser,
            encoder=neighbours.encoder,
            indexes=neighbours.indexes,
            board=board,
            locks=locks,
            tokenizer=neighbours.tokenizer,
        )
        installation = await asyncio.to_thread(_installation, options.folder)
        ingestion = Ingestion(
            tools, WorkflowOptions(options.jobs_url, installation), options.pace, reindex=options.reindex
        )
        stack.push_async_callback(ingestion.aclose)
        documents = DocumentService(
            neighbours.database,
            neighbours.access,
            originals,
            neighbours.archives,
            ingestion,
            limits=options.limits,
            locks=locks,
            board=board,
        )
        stack.push_async_callback(documents.aclose)
        await documents.open()
        await ingestion.open()
        jobs = JobService(
            neighbours.database, neighbours.access, ingestion, neighbours.encoder, board=board, locks=locks
        )
        yield Opened(documents, jobs)


def _lock(folder: Path) -> int:
    """Hold the folder for this process; the kernel lets go of it when the process dies."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataFolderInUse("Another tools API works on the documents of this data folder.") from None
    return descriptor


def _installation(folder: Path) -> str:
    """Return the name that workflows of this data folder have in a database that several share."""
    path = folder / "installation"
    try:
        name = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        name = ""
    if len(name) != 8 or not name.isalnum():
        name = secrets.token_hex(4)
        draft = path.with_suffix(".tmp")
        draft.write_text(name, encoding="ascii")
        draft.replace(path)
    return name
