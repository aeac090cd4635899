"""Opens retrieval from its options: the one place that knows all parts, and imports none of them before it must.

The database's driver, the indexes and the workflows cost a second and tens of megabytes; a process that nobody asks for
documents is spared them. `build.py` beside this file has the parts.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools_api.embeddings.protocol import Encoder
from tools_api.rag.documents.values import Limits
from tools_api.rag.parsing import ParsingOptions
from tools_api.rag.parts import Parts
from tools_api.rag.retrieval import Retrieval
from tools_api.rag.values import IndexType
from tools_api.sandbox import SandboxOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RagOptions:
    """`folder` is where collections and originals are kept. `database_file` is the catalogue's if it is an SQLite file:
    as long as there is none, nobody has ever used retrieval here. `jobs_url` is the database of durable work, `uploads`
    what uploads and owners may bring. `tokenizer` says where the embedding model's tokenizer.json is, if it has one.
    The others are the settings of their names."""

    folder: Path
    database_url: str
    database_file: Path | None
    jobs_url: str
    uploads: Limits = field(default_factory=Limits)
    parsing: ParsingOptions = field(default_factory=lambda: ParsingOptions(sandbox=SandboxOptions()))
    tokenizer: Callable[[], Path | None] = lambda: None
    index_type: IndexType = "Flat"
    chunk_tokens: int = 512
    collections_per_owner: int = 1000


@asynccontextmanager
async def open_rag(options: RagOptions, *, encoder: Encoder) -> AsyncGenerator[Retrieval]:
    """Yield retrieval, which opens itself in the background if it was used before, or else when it is needed.

    Never fails because a part of it does: `Retrieval.standing` says so, and its calls are refused.
    """
    retrieval = Retrieval(lambda: _parts(options, encoder))
    if options.database_file is None or options.database_file.exists():
        retrieval.start()
    try:
        yield retrieval
    finally:
        await retrieval.aclose()


@asynccontextmanager
async def _parts(options: RagOptions, encoder: Encoder) -> AsyncGenerator[Parts]:
    open_parts = await asyncio.to_thread(_imported)
    async with open_parts(options, encoder) as parts:
        yield parts


def _imported() -> Callable[[RagOptions, Encoder], AbstractAsyncContextManager[Parts]]:
    from tools_api.rag.build import open_parts

    return open_parts
