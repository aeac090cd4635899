"""Documents become searchable: each once, the broken ones apart, fairly, and again after whatever stopped it."""

import asyncio
import errno

import numpy as np
import pytest

from shared.errors import Unavailable
from tests.tools_api.rag.ingestion.fakes import vector_of
from tests.tools_api.rag.ingestion.harness import ADA, BOB, World
from tools_api.rag.ingestion import job_store
from tools_api.rag.ingestion.pieces import SLICE
from tools_api.rag.ingestion.workflows import Workflows

pytestmark = pytest.mark.slow  # starts the workflows' engine


async def test_uploaded_files_are_indexed(world: World) -> None:
    async with world.running() as running:
        await running.collection()
        upload = await running.upload({"a.txt": "one\ntwo", "b.txt": "three"})
        job = await running.finished(upload.job_id)
        index = await running.index()
        documents, _ = await running.documents.page(ADA, "docs", limit=10, after=None, state=None)
    assert (job.state, job.percent, dict(job.documents)) == ("finished", 100, {"indexed": 2})
    assert index.texts() == ["one", "three", "two"]
    assert {(one.name, one.state, one.percent, one.chunks, one.searchable) for one in documents} == {
        ("a.txt", "indexed", 100, 2, True),
        ("b.txt", "indexed", 100, 1, True),
    }
    assert list((world.folder / "rag" / "spool").iterdir()) == []


async def test_a_broken_file_fails_alone_and_can_be_tried_again(world: World) -> None:
    async with world.running() as running:
        await running.collection()
        files = {
            f"{number}.txt": f"!broken\n{number}" if number % 10 == 0 else f"text {number}" for number in range(30)
        }
        files["nothing.txt"] = ""
        upload = await running.upload({**files, "10.txt": "!encrypted"})
        job = await running.finished(upload.job_id)
        failed, _ = await running.documents.page(ADA, "docs", limit=100, after=None, state="failed")
        assert dict(job.documents) == {"indexed": 27, "failed": 4}
        assert {(one.name, one.error.code, one.attempts) for one in failed if one.error} == {
            ("0.txt", "broken", 1),
            ("10.txt", "encrypted", 1),
            ("20.txt", "broken", 1),
            ("nothing.txt", "empty", 1),
        }
        await running.jobs.retry(ADA, upload.job_id)
        again = await running.finished(upload.job_id)
    assert dict(again.documents) == {"indexed": 27, "failed": 4}


async def test_a_large_document_is_embedded_slice_by_slice_and_never_twice(world: World) -> None:
    lines = [f"line {number}" for number in range(3 * SLICE + 10)]
    async with world.running() as running:
        await running.collection()
        upload = await running.upload({"large.txt": "\n".join(lines)})
        await running.finished(upload.job_id)
        index = await running.index()
    assert index.texts() == sorted(lines)
    assert world.encoder.calls == 4
    assert set(world.encoder.embedded.values()) == {1}


async def test_a_document_goes_on_where_it_stopped(world: World) -> None:
    lines = [f"line {number}" for number in range(4 * SLICE)]
    async with world.running() as running:
        await running.collection()
        upload = await running.upload({"large.txt": "\n".join(lines)})
        async with asyncio.timeout(30):
            while world.encoder.calls < 2:
                await asyncio.sleep(0.01)
            world.encoder.gate.clear()
            while world.encoder.calls < 3:
                await asyncio.sleep(0.01)
    world.encoder.gate.set()
    async with world.running() as running:
        job = await running.finished(upload.job_id)
        index = await running.index()
    assert job.documents == {"indexed": 1}
    assert index.texts() == sorted(lines)
    assert sum(world.encoder.embedded.values()) <= 5 * SLICE, "at most the slice that was under way is made again"
    assert len(world.parser.calls) == 1


async def test_a_cancelled_job_stops_at_once_and_keeps_what_it_has(world: World) -> None:
    async with world.running(files=2, at_once=1) as running:
        await running.collection()
        world.encoder.gate.clear()
        upload = await running.upload({f"{number}.txt": f"text {number}" for number in range(10)})
        async with asyncio.timeout(30):
            while not world.encoder.calls:
                await asyncio.sleep(0.01)
        job = await running.jobs.cancel(ADA, upload.job_id)
        assert (job.state, dict(job.documents)) == ("cancelled", {"cancelled": 10})
        world.encoder.gate.set()
        other = await running.upload({"other.txt": "other"})
        await running.finished(other.job_id)
        index = await running.index()
        assert index.texts() == ["other"]
        await running.jobs.retry(ADA, upload.job_id)
        job = await running.finished(upload.job_id)
    assert dict(job.documents) == {"indexed": 10}


async def test_one_cancelled_document_leaves_the_others_of_its_batch(world: World) -> None:
    async with world.running() as running:
        await running.collection()
        world.encoder.gate.clear()
        upload = await running.upload({"a.txt": "a", "b.txt": "b"})
        async with asyncio.timeout(30):
            while not world.encoder.calls:
                await asyncio.sleep(0.01)
        cancelled = await running.documents.cancel(ADA, "docs", upload.files[0].document.id)
        world.encoder.gate.set()
        job = await running.finished(upload.job_id)
        index = await running.index()
    assert cancelled.state == "cancelled"
    assert dict(job.documents) == {"cancelled": 1, "indexed": 1}
    assert index.texts() == ["b"]


async def test_a_cancelled_job_takes_no_document_of_another_along(world: World) -> None:
    world.encoder.gate.clear()
    async with world.running() as running:
        await running.collection()
        first = await running.upload({"a.txt": "a", "b.txt": "b"})
        second = await running.upload({"copy of a.txt": "a", "c.txt": "c"})
        third = await running.upload({"copy of c.txt": "c"})
        assert dict((await running.jobs.cancel(ADA, first.job_id)).documents) == {"cancelled": 1}
        assert dict((await running.jobs.cancel(ADA, third.job_id)).documents) == {"cancelled": 1}
        world.encoder.gate.set()
        job = await running.finished(second.job_id)
        states = [(await running.jobs.get(ADA, one.job_id)).state for one in (first, second, third)]
        index = await running.index()
    assert states == ["cancelled", "finished", "cancelled"]
    assert dict(job.documents) == {"indexed": 3}
    assert index.texts() == ["a", "c"]


async def test_a_job_ends_when_others_take_or_cancel_what_is_left_of_it(world: World) -> None:
    world.encoder.gate.clear()
    async with world.running() as running:
        await running.collection()
        taken = await running.upload({"a.txt": "a"})
        await running.upload({"a.txt": "newer"})
        assert (await running.jobs.get(ADA, taken.job_id)).state == "finished"
        original = await running.upload({"b.txt": "b"})
        copy = await running.upload({"copy of b.txt": "b"})
        await running.documents.cancel(ADA, "docs", original.files[0].document.id)
        assert (await running.jobs.get(ADA, copy.job_id)).state == "finished"
        world.encoder.gate.set()


async def test_a_job_that_a_crash_left_open_ends_at_the_next_start(world: World) -> None:
    async with world.running() as running:
        await running.collection()
        upload = await running.upload({"a.txt": "a"})
        await running.finished(upload.job_id)
    async with world.database.transaction() as db:
        await job_store.reopen(db, upload.job_id)
    async with world.running() as running:
        assert (await running.jobs.get(ADA, upload.job_id)).state == "finished"


async def test_a_document_removed_while_it_is_worked_on_never_appears(world: World) -> None:
    async with world.running() as running:
        await running.collection()
        world.encoder.gate.clear()
        upload = await running.upload({"a.txt": "a", "b.txt": "b"})
        async with asyncio.timeout(30):
            while not world.encoder.calls:
                await asyncio.sleep(0.01)
        await running.documents.delete(ADA, "docs", upload.files[0].document.id)
        world.encoder.gate.set()
        job = await running.finished(upload.job_id)
        index = await running.index()
    assert dict(job.documents) == {"indexed": 1}
    assert index.texts() == ["b"]
    kept = [path for path in (world.folder / "rag").rglob("*") if path.is_file() and path.read_bytes() == b"a"]
    assert kept == []


async def test_one_file_of_one_person_does_not_wait_for_the_thousands_of_another(world: World) -> None:
    async with world.running(files=10) as running:
        await running.collection(ADA)
        await running.collection(BOB, "his")
        many = await running.upload({f"{number}.txt": f"text {number}" for number in range(400)})
        one = await running.upload({"one.txt": "his"}, owner=BOB, to="his")
        await running.finished(one.job_id, BOB)
        job = await running.jobs.get(ADA, many.job_id)
        assert job.state == "running"
        assert job.documents.get("queued", 0) > 100
        assert (await running.finished(many.job_id)).documents == {"indexed": 400}


async def test_what_is_in_the_way_is_waited_for_and_said(world: World) -> None:
    world.encoder.down = Unavailable("The encoder is not there.")
    async with world.running() as running:
        await running.collection()
        upload = await running.upload({"a.txt": "a"})
        async with asyncio.timeout(30):
            while (job := await running.jobs.get(ADA, upload.job_id)).note is None:
                await asyncio.sleep(0.02)
        assert (job.state, job.note) == ("running", "The encoder is not there.")
        world.encoder.down = None
        job = await running.finished(upload.job_id)
        document = await running.documents.get(ADA, "docs", upload.files[0].document.id)
    assert (job.documents, job.note) == ({"indexed": 1}, None)
    assert document.attempts == 1


async def test_a_document_whose_text_the_encoder_refuses_fails_alone(world: World) -> None:
    world.encoder.refuses = "odd"
    async with world.running() as running:
        await running.collection()
        lines = "\n".join(f"line {number}" for number in range(SLICE))
        files = {"a.txt": "a", "b.txt": "odd", "c.txt": "c", "large.txt": f"{lines}\nodd\n{lines}"}
        job = await running.finished((await running.upload(files)).job_id)
        failed, _ = await running.documents.page(ADA, "docs", limit=10, after=None, state="failed")
    assert dict(job.documents) == {"indexed": 2, "failed": 2}
    assert {(one.name, one.error and one.error.code) for one in failed} == {
        ("b.txt", "not_embeddable"),
        ("large.txt", "not_embeddable"),
    }


async def test_a_full_disk_is_waited_for(world: World) -> None:
    async with world.running() as running:
        await running.collection()
        index = await running.index()
        index.full = True
        upload = await running.upload({"a.txt": "a"})
        async with asyncio.timeout(30):
            while (await running.jobs.get(ADA, upload.job_id)).note is None:
                await asyncio.sleep(0.02)
        index.full = False
        job = await running.finished(upload.job_id)
    assert job.documents == {"indexed": 1}


async def test_the_same_files_uploaded_twice_at_once_are_indexed_once(world: World) -> None:
    files = {f"{number}.txt": f"text {number}" for number in range(40)}
    async with world.running(files=8) as running:
        await running.collection()
        first, second = await asyncio.gather(running.upload(files), running.upload(files))
        jobs = [await running.finished(upload.job_id) for upload in (first, second)]
        index = await running.index()
        documents, more = await running.documents.page(ADA, "docs", limit=100, after=None, state=None)
    assert sorted((job.total, job.unchanged) for job in jobs) == [(0, 40), (40, 0)]
    assert index.texts() == sorted(files.values())
    assert set(index.puts.values()) == {1}
    assert (len(documents), more) == (40, False)


async def test_a_new_version_takes_the_place_of_the_old_one_when_it_is_ready(world: World) -> None:
    async with world.running() as running:
        await running.collection()
        await running.finished((await running.upload({"a.txt": "old"})).job_id)
        world.encoder.gate.clear()
        upload = await running.upload({"a.txt": "new"})
        async with asyncio.timeout(30):
            while world.encoder.calls < 2:
                await asyncio.sleep(0.01)
        index = await running.index()
        document = await running.documents.get(ADA, "docs", upload.files[0].document.id)
        assert (index.texts(), document.searchable, document.state) == (["old"], True, "embedding")
        world.encoder.gate.set()
        await running.finished(upload.job_id)
        assert index.texts() == ["new"]


async def test_no_vector_of_an_old_version_is_taken_for_a_new_one(world: World) -> None:
    lines = [f"line {number}" for number in range(3 * SLICE)]
    async with world.running() as running:
        await running.collection()
        await running.upload({"large.txt": "\n".join(lines)})
        async with asyncio.timeout(30):
            while world.encoder.calls < 2:
                await asyncio.sleep(0.01)
            world.encoder.gate.clear()
            while world.encoder.calls < 3:
                await asyncio.sleep(0.01)
        upload = await running.upload({"large.txt": "\n".join(f"new {line}" for line in lines)})
        world.encoder.gate.set()
        await running.finished(upload.job_id)
        [document] = (await running.index()).documents.values()
    wanted = [vector_of(f"model-1large.txt\nnew {line}") for line in lines]
    assert np.array_equal(document.vectors, np.stack(wanted))


async def test_the_news_of_a_job_begin_with_how_it_stands_and_end_with_it(world: World) -> None:
    async with world.running(files=5, at_once=1) as running:
        await running.collection()
        world.encoder.gate.clear()
        upload = await running.upload({f"{number}.txt": f"text {number}" for number in range(20)})
        percents: list[int] = []
        documents: dict[str, str] = {}
        async for news in running.jobs.news(ADA, upload.job_id):
            world.encoder.gate.set()
            percents.append(news.job.percent)
            documents.update({one.id: one.state for one in news.documents})
        assert news.job.state == "finished"
    assert percents[-1] == 100
    assert percents == sorted(percents)
    assert len(percents) > 2
    assert set(documents.values()) == {"indexed"}


async def test_a_file_that_brings_out_a_bug_is_given_up_and_takes_no_other_along(world: World) -> None:
    async with world.running() as running:
        await running.collection()
        upload = await running.upload(
            {**{f"{number}.txt": f"text {number}" for number in range(6)}, "bug.txt": "poison"}
        )
        job = await running.finished(upload.job_id)
        [failed], _ = await running.documents.page(ADA, "docs", limit=10, after=None, state="failed")
    assert dict(job.documents) == {"indexed": 6, "failed": 1}
    assert (failed.name, failed.error and failed.error.code) == ("bug.txt", "gave_up")


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), ValueError("nobody foresaw this")], ids=["full", "bug"]
)
async def test_what_breaks_while_nothing_is_to_do_does_not_end_the_work(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    broke = asyncio.Event()
    loop = asyncio.get_running_loop()

    def forget_old(_: Workflows) -> None:
        loop.call_soon_threadsafe(broke.set)
        raise error

    async with world.running() as running:
        await running.collection()
        await running.finished((await running.upload({"a.txt": "one"})).job_id)
        monkeypatch.setattr(Workflows, "_forget_old", forget_old)
        monkeypatch.setattr("tools_api.rag.ingestion.service._TIDY_EVERY_S", 0.01)
        await running.finished((await running.upload({"b.txt": "two"})).job_id)
        await asyncio.wait_for(broke.wait(), 30)
        await running.finished((await running.upload({"c.txt": "three"})).job_id)
        assert (await running.index()).texts() == ["one", "three", "two"]


async def test_what_a_copy_had_in_the_index_leaves_it_at_the_next_start_at_the_latest(world: World) -> None:
    async with world.running() as running:
        await running.collection()
        await running.finished((await running.upload({"a.txt": "one", "b.txt": "old"})).job_id)
        index = await running.index()
        index.stuck = True
        again = await running.upload({"b.txt": "one"})
        assert again.files[0].outcome == "duplicate"
        assert index.texts() == ["old", "one"]
    index.stuck = False
    async with world.running() as running:
        async with asyncio.timeout(30):
            while index.texts() != ["one"]:
                await asyncio.sleep(0.01)
    index.stuck = True
    async with world.running() as running:
        await running.finished((await running.upload({"c.txt": "one"})).job_id)
    assert index.texts() == ["one"]
