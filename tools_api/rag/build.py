"""Builds the parts of retrieval in their order, and closes them in the other. Imported by `open.py`, in a thread."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from tools_api.db import Database
from tools_api.embeddings.protocol import CountingEncoder
from tools_api.rag.collections.access import Access
from tools_api.rag.collections.service import CollectionDefaults, CollectionService
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.ingestion.open import IngestionOptions, Neighbours, open_ingestion
from tools_api.rag.options import RagOptions
from tools_api.rag.parsing import ZipArchives, open_parser
from tools_api.rag.parts import Parts
from tools_api.rag.portability.restoring import Restoring
from tools_api.rag.portability.service import Portability
from tools_api.rag.questions import Questions
from tools_api.rag.reading.service import Reading
from tools_api.rag.search.exact import ExactSearch
from tools_api.rag.search.service import SearchService
from tools_api.rag.words import words_opener

_ON_THEIR_WAY = "on-their-way"


@asynccontextmanager
async def open_parts(options: RagOptions, encoder: CountingEncoder) -> AsyncGenerator[Parts]:
    """Open the database, then what stands on it. Raises what the parts raise; then nothing is left open."""
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(options.folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        database = Database(options.database_url)
        stack.push_async_callback(database.aclose)
        await database.migrate()
        access = Access(database)
        indexes = Indexes(options.folder / "collections", words_opener(options.language))
        await indexes.start()
        stack.push_async_callback(indexes.aclose)
        parser = await stack.enter_async_context(open_parser(options.parsing))
        ingestion = await stack.enter_async_context(
            open_ingestion(
                IngestionOptions(
                    folder=options.folder, jobs_url=options.jobs_url, limits=options.uploads, reindex=options.reindex
                ),
                Neighbours(
                    database=database,
                    access=access,
                    archives=ZipArchives(parser),
                    parser=parser,
                    encoder=encoder,
                    indexes=indexes,
                    tokenizer=encoder.tokenizer_file,
                ),
            )
        )
        collections = CollectionService(
            database,
            access,
            encoder,
            defaults=_defaults(options),
            removals=[ingestion.documents.remove_collection, indexes.remove],
        )
        stack.push_async_callback(collections.aclose)
        portability = Portability(access, indexes, options.folder / _ON_THEIR_WAY)
        await portability.open()
        finishing = asyncio.create_task(collections.finish_removals(await collections.unfinished()))
        stack.push_async_callback(asyncio.wait, {finishing})
        searches = SearchService(indexes, encoder)
        stack.push_async_callback(searches.aclose)
        yield Parts(
            access=access,
            collections=collections,
            documents=ingestion.documents,
            encoder=encoder,
            indexes=indexes,
            jobs=ingestion.jobs,
            portability=portability,
            questions=Questions(access, searches, ExactSearch(indexes)),
            reading=Reading(database, access, indexes),
            restoring=Restoring(
                collections, ingestion.documents, indexes, options.folder / _ON_THEIR_WAY, options.uploads
            ),
        )


def _defaults(options: RagOptions) -> CollectionDefaults:
    return CollectionDefaults(
        index_type=options.index_type,
        chunk_tokens=options.chunk_tokens,
        per_owner=options.collections_per_owner,
    )
