"""A new embedding model: the old vectors are searched until the new ones are all there, also across restarts."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from tests.tools_api.rag.ingestion.fakes import DIMENSIONS, HashEncoder, vector_of
from tests.tools_api.rag.ingestion.harness import ADA, Running, World
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.ingestion import job_store
from tools_api.rag.words import words_opener

pytestmark = pytest.mark.slow  # starts the workflows' engine

_FILES = {f"{number}.txt": f"first of {number}\nsecond of {number}" for number in range(8)}


@pytest.fixture
async def filled(world: World) -> AsyncGenerator[World]:
    """A collection with vectors of the model `old`, in real indexes; now the encoder has `new`."""
    world.indexes = Indexes(world.folder / "rag" / "collections", words_opener("english"))
    await world.indexes.start()
    world.encoder = HashEncoder("old")
    async with world.running() as running:
        await running.collection()
        await running.finished((await running.upload(_FILES)).job_id)
    world.encoder = HashEncoder("new")
    yield world
    await world.indexes.aclose()


async def _best(running: Running, fingerprint: str, text: str) -> tuple[str, float]:
    collection = (await running.collections.get(ADA, "docs")).collection
    index = await running.world.indexes.existing(collection.id)
    [hit] = await index.search_dense(vector_of(f"{fingerprint}{text}"), 1)
    [stored] = await index.chunks([hit.chunk_id])
    return stored.chunk.text, hit.score


async def _until_reindexed(running: Running) -> None:
    async with asyncio.timeout(30):
        while True:
            jobs, _ = await running.jobs.page(ADA, collection=None, limit=10, after=None, state="finished")
            if any(job.kind == "reindex" for job in jobs):
                return
            await asyncio.sleep(0.02)


async def test_a_collection_gets_vectors_of_the_new_model_by_itself(filled: World) -> None:
    embedded = "4.txt\nsecond of 4"
    async with filled.running() as running:
        await _until_reindexed(running)
        text, score = await _best(running, "new", embedded)
        collection = (await running.collections.get(ADA, "docs")).collection
    assert (text, score) == ("second of 4", pytest.approx(1, abs=1e-5))
    assert (collection.fingerprint, collection.generation) == ("new", 2)
    assert len(filled.parser.calls) == 1, "nothing is read again"
    assert sum(filled.encoder.embedded.values()) == 16


async def test_the_old_vectors_are_searched_until_the_new_ones_are_there(filled: World) -> None:
    filled.encoder.gate.clear()
    embedded = "4.txt\nsecond of 4"
    async with filled.running() as running:
        async with asyncio.timeout(30):
            while not filled.encoder.calls:
                await asyncio.sleep(0.02)
        assert await _best(running, "old", embedded) == ("second of 4", pytest.approx(1, abs=1e-5))
        upload = await running.upload({"late.txt": "late"})
    async with filled.running() as running:  # stopped in the middle, and begun again
        filled.encoder.gate.set()
        await _until_reindexed(running)
        await running.finished(upload.job_id)
        assert (await _best(running, "new", "late.txt\nlate"))[0] == "late"
        assert (await _best(running, "new", embedded))[0] == "second of 4"


async def test_by_hand_it_waits_for_somebody_to_say_so(filled: World) -> None:
    async with filled.running(reindex="manual") as running:
        job = await running.finished((await running.upload({"late.txt": "late"})).job_id)
        [late], _ = await running.documents.page(ADA, "docs", limit=10, after=None, state="failed")
        assert (dict(job.documents), late.error and late.error.code) == ({"failed": 1}, "needs_reindex")
        reindex = await running.jobs.reindex(ADA, "docs")
        assert (await running.finished(reindex.id)).state == "finished"
        await running.jobs.retry(ADA, job.id)
        assert dict((await running.finished(job.id)).documents) == {"indexed": 1}


async def test_a_cancelled_reindex_leaves_the_old_vectors(filled: World) -> None:
    filled.encoder.gate.clear()
    async with filled.running(reindex="manual") as running:
        job = await running.jobs.reindex(ADA, "docs")
        async with asyncio.timeout(30):
            while not filled.encoder.calls:
                await asyncio.sleep(0.02)
        assert (await running.jobs.cancel(ADA, job.id)).state == "cancelled"
        filled.encoder.gate.set()
        assert (await _best(running, "old", "4.txt\nsecond of 4"))[0] == "second of 4"
        collection = (await running.collections.get(ADA, "docs")).collection
    assert collection.fingerprint == "old"


async def test_with_the_same_model_the_originals_are_read_again(filled: World) -> None:
    filled.encoder = HashEncoder("old")
    async with filled.running() as running:
        for _ in range(2):
            job = await running.finished((await running.jobs.reindex(ADA, "docs")).id)
        documents, _ = await running.documents.page(ADA, "docs", limit=10, after=None, state=None)
    assert dict(job.documents) == {"indexed": 8}
    assert len(filled.parser.calls) == 3
    assert {one.attempts for one in documents} == {1}, "what went well is not held against a document"


async def test_back_with_the_model_before_everything_is_searched_by_it_again(filled: World) -> None:
    async with filled.running(reindex="manual") as running:
        collection = (await running.collections.get(ADA, "docs")).collection
        index = await filled.indexes.existing(collection.id)
        await index.begin_generation("new", DIMENSIONS)  # and not at its end when the server stops
        late = await running.finished((await running.upload({"late.txt": "late"})).job_id)
        assert (dict(late.documents), await index.without_vectors() != []) == ({"indexed": 1}, True)
    async with filled.database.transaction() as db:
        await job_store.add_reindex(db, collection.id, ADA, datetime.now(UTC))
    filled.encoder = HashEncoder("old")
    async with filled.running() as running:
        await _until_reindexed(running)
        await running.finished(late.id)
        upload = await running.upload({"new.txt": "new"})
        assert dict((await running.finished(upload.job_id)).documents) == {"indexed": 1}
        assert await _best(running, "old", "late.txt\nlate") == ("late", pytest.approx(1, abs=1e-5))
        assert sum(filled.encoder.embedded.values()) == 2, "what has its vectors keeps them"
