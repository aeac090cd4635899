"""Opens retrieval from its options: the one place that knows all parts, and imports none of them before it must.

The database's driver, the indexes and the workflows cost a second and tens of megabytes; a process that nobody asks for
documents is spared them. `build.py` beside this file has the parts.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tools_api.embeddings.protocol import CountingEncoder
from tools_api.rag.options import RagOptions
from tools_api.rag.parts import Parts
from tools_api.rag.retrieval import Retrieval


@asynccontextmanager
async def open_rag(options: RagOptions, *, encoder: CountingEncoder) -> AsyncGenerator[Retrieval]:
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
async def _parts(options: RagOptions, encoder: CountingEncoder) -> AsyncGenerator[Parts]:
    open_parts = await asyncio.to_thread(_imported)
    async with open_parts(options, encoder) as parts:
        yield parts


def _imported() -> Callable[[RagOptions, CountingEncoder], AbstractAsyncContextManager[Parts]]:
    from tools_api.rag.build import open_parts

    return open_parts
