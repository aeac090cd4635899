"""`kill -9` in the middle of an ingestion: nothing is lost, nothing is there twice, and the job finishes."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.tools_api.rag.faults.server import ToolsServer, small_files, word, words_in

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


@pytest.mark.parametrize(("files", "kills"), [(120, 2), pytest.param(500, 3, marks=pytest.mark.long)])
async def test_an_ingestion_survives_kills_at_random_moments(tmp_path: Path, files: int, kills: int) -> None:
    moments = random.Random(20)
    async with ToolsServer(tmp_path) as server:
        await server.collection()
        status, upload = await server.upload(small_files(files))
        assert status == 202, upload
        for kill in range(kills):
            indexed = (await server.job(upload["job"]))["documents"]["indexed"]
            goal = indexed + moments.randrange(10, files // 4) if kill else 1
            await _until(server, upload["job"], min(goal, files - 1))
            await server.kill()
            await server.start()
        job = await server.finished(upload["job"])
        documents = await server.documents()
        found = words_in(await server.passages())
    assert (job["state"], job["documents"]["indexed"], job["total"]) == ("finished", files, files)
    assert Counter(one["state"] for one in documents) == {"indexed": files}
    assert found == [word(index) for index in range(files)]
    assert [path.name for path in (tmp_path / "data" / "rag" / "spool").iterdir()] == []


async def _until(server: ToolsServer, job_id: str, indexed: int) -> None:
    async with asyncio.timeout(300):
        while True:
            job = await server.job(job_id)
            if job["documents"]["indexed"] >= indexed or job["state"] == "finished":
                return
            await asyncio.sleep(0.05)


async def test_the_same_files_uploaded_twice_at_once_are_there_once(tmp_path: Path) -> None:
    files = small_files(40)
    async with ToolsServer(tmp_path) as server:
        await server.collection()
        uploads = await asyncio.gather(server.upload(files), server.upload(files))
        jobs = [await server.finished(body["job"]) for _, body in uploads]
        documents = await server.documents()
        found = words_in(await server.passages())
    assert [status for status, _ in uploads] == [202, 202]
    assert sorted((job["total"], job["unchanged"]) for job in jobs) == [(0, 40), (40, 0)]
    assert Counter(one["state"] for one in documents) == {"indexed": 40}
    assert found == [word(index) for index in range(40)]
