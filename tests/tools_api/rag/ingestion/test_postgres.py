"""Catalogue and workflows in one PostgreSQL: the same life as in two SQLite files."""

import asyncio
from pathlib import Path

import pytest

from tests.tools_api.rag.ingestion.harness import ADA, World
from tools_api.db import Database
from tools_api.rag.ingestion.pieces import SLICE

pytestmark = pytest.mark.slow


async def test_an_ingestion_lives_in_postgres_and_goes_on_after_a_restart(
    tmp_path: Path, postgres_catalogue: Database, postgres_url: str
) -> None:
    world = World(tmp_path, postgres_catalogue, jobs_url=postgres_url)
    lines = [f"line {number}" for number in range(3 * SLICE)]
    files = {f"{number}.txt": f"text {number}" for number in range(20)}
    async with world.running() as running:
        await running.collection()
        small = await running.finished((await running.upload(files)).job_id)
        upload = await running.upload({"large.txt": "\n".join(lines)})
        calls = world.encoder.calls
        async with asyncio.timeout(30):
            while world.encoder.calls < calls + 1:
                await asyncio.sleep(0.01)
            world.encoder.gate.clear()
            while world.encoder.calls < calls + 2:
                await asyncio.sleep(0.01)
    world.encoder.gate.set()
    async with world.running() as running:
        job = await running.finished(upload.job_id)
        again = await running.upload(files)
        index = await running.index()
        listed, _ = await running.jobs.page(ADA, collection="docs", limit=10, after=None, state=None)
    assert (dict(small.documents), dict(job.documents)) == ({"indexed": 20}, {"indexed": 1})
    assert {one.outcome for one in again.files} == {"unchanged"}
    assert index.texts() == sorted([*files.values(), *lines])
    assert len(listed) == 3
