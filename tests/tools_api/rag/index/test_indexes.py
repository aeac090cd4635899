"""Many collections in one process: made, found, closed and opened again, removed."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from shared.errors import Conflict, NotFound, StorageFull, Unavailable
from tests.tools_api.rag.index.conftest import COLLECTION, MODEL, SMALL, document, unit
from tests.tools_api.rag.index.memory_words import MemoryWords
from tools_api.rag.index import failures
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.failures import CollectionUnreadable
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.index.room import Room
from tools_api.rag.index.values import VectorModel


async def test_a_collection_keeps_the_model_that_it_was_made_with(indexes: Indexes, index: CollectionIndex) -> None:
    again = await indexes.open(COLLECTION, VectorModel("model-b", 99), "HNSW")

    assert again is index
    assert await again.model() == MODEL


async def test_what_was_never_made_is_not_there(indexes: Indexes) -> None:
    assert await indexes.existing("col_nobody") is None
    for name in ("../evil", "", ".", "a/b", "a\0b", "x" * 200, "-rf", "col_a.removed"):
        with pytest.raises(NotFound):
            await indexes.existing(name)
        with pytest.raises(NotFound):
            await indexes.open(name, MODEL, "Flat")


async def test_collections_know_nothing_of_each_other(indexes: Indexes) -> None:
    ours, theirs = await indexes.open("ours", MODEL, "Flat"), await indexes.open("theirs", MODEL, "Flat")
    await ours.put_many([document("secret")])

    assert await theirs.search_dense(document("secret").vectors[0], 10) == []
    assert await theirs.search_words("secret", 10) == []
    assert await theirs.chunks([1, 2, 3]) == []
    with pytest.raises(NotFound):
        await theirs.document("doc_secret")


async def test_a_removed_collection_is_gone_from_the_disk_and_for_who_holds_it(
    indexes: Indexes, index: CollectionIndex
) -> None:
    await index.put_many([document("ada")])
    other = await indexes.open("other", MODEL, "Flat")

    await indexes.remove(COLLECTION)
    await indexes.remove(COLLECTION)

    assert not index.folder.exists()
    with pytest.raises(NotFound):
        await index.search_dense(unit(1)[0], 1)
    assert await indexes.existing(COLLECTION) is None
    assert (await other.stats()).documents == 0
    new = await indexes.open(COLLECTION, MODEL, "Flat")
    assert (await new.stats()).documents == 0


async def test_removing_waits_for_the_calls_that_are_under_way(indexes: Indexes, index: CollectionIndex) -> None:
    calls = [asyncio.create_task(index.put_many([document(f"n{number}")])) for number in range(5)]
    await asyncio.sleep(0)

    await indexes.remove(COLLECTION)

    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(result is None or isinstance(result, NotFound) for result in results)
    assert not index.folder.exists()


async def test_a_reader_of_every_chunk_does_not_go_on_beside_a_removal(
    indexes: Indexes, index: CollectionIndex
) -> None:
    await index.put_many([document(f"n{number}") for number in range(5)])
    rows = index.export(batch=2)
    await anext(rows)
    async with index._files():  # a call that takes longer
        removing = asyncio.create_task(indexes.remove(COLLECTION))
        await asyncio.sleep(0)

        with pytest.raises(NotFound):
            [row async for row in rows]

        assert not removing.done()
    await removing
    assert not index.folder.exists()


async def test_a_removal_that_a_crash_broke_off_is_finished(root: Path) -> None:
    broken = root / "collections" / f"{COLLECTION}.removed"
    broken.mkdir(parents=True)
    (broken / "chunks.db").write_bytes(b"secret")
    unfinished = root / "collections" / "col_x.restoring"
    unfinished.mkdir()

    indexes = Indexes(root / "collections", MemoryWords, SMALL)
    await indexes.start()

    assert not broken.exists()
    assert not unfinished.exists()
    assert await indexes.existing(COLLECTION) is None
    await indexes.aclose()


async def test_those_that_were_not_asked_for_the_longest_are_closed(root: Path) -> None:
    indexes = Indexes(root, MemoryWords, replace(SMALL, max_open=2))
    await indexes.start()
    several = [await indexes.open(f"c{number}", MODEL, "Flat") for number in range(4)]
    for number, each in enumerate(several):
        await each.put_many([document(f"n{number}")])

    await indexes.rest_some()

    assert [each.is_open for each in several] == [False, False, True, True]
    for number, each in enumerate(several):
        assert len(await each.search_words(f"n{number}", 10)) == 2
    await indexes.aclose()


async def test_no_more_than_the_limit_are_open_however_many_are_asked_at_once(root: Path) -> None:
    indexes = Indexes(root, MemoryWords, replace(SMALL, max_open=3))
    await indexes.start()
    several = [await indexes.open(f"c{number}", MODEL, "Flat") for number in range(20)]
    most = 0

    async def ask(number: int) -> None:
        nonlocal most
        await several[number].put_many([document(f"n{number}")])
        for _ in range(3):
            assert len(await several[number].search_words(f"n{number}", 10)) == 2
            most = max(most, sum(each.is_open for each in several))

    await asyncio.gather(*(ask(number) for number in range(20)))

    assert most <= 3
    await indexes.aclose()


async def test_where_all_that_are_open_stay_in_use_another_is_opened_beside_them() -> None:
    room = Room(1, patience_s=0.01)
    busy, other = Busy(), Busy()
    await room.take(busy)

    await room.take(other)

    assert not busy.rested


class Busy:
    """A collection that always has a call."""

    in_use = True
    used_at = 0.0
    rested = False

    async def rest(self) -> bool:
        self.rested = True
        return False


async def test_memory_is_bounded_too(root: Path) -> None:
    indexes = Indexes(root, MemoryWords, replace(SMALL, head=1000, max_open_bytes=11_000))
    await indexes.start()
    several = [await indexes.open(f"c{number}", MODEL, "Flat") for number in range(3)]
    for each in several:
        await each.put_many([document("n", 200)])

    await indexes.rest_some()

    assert sum(each.memory_bytes for each in several) <= 11_000
    assert any(each.is_open for each in several)
    await indexes.aclose()


async def test_one_that_is_in_use_stays_open(indexes: Indexes, index: CollectionIndex) -> None:
    await index.put_many([document(f"n{number}") for number in range(20)])
    calls = [asyncio.create_task(index.search_dense(unit(1)[0], 5)) for _ in range(20)]
    await asyncio.sleep(0)

    rested = await index.rest()

    assert not rested
    assert all(len(found) == 5 for found in await asyncio.gather(*calls))


async def test_opening_and_closing_under_load_loses_nothing(index: CollectionIndex) -> None:
    async def put(number: int) -> None:
        await index.put_many([document(f"n{number}", 3)])
        assert len(await index.search_dense(document(f"n{number}", 3).vectors[0], 1)) == 1

    async def rest() -> None:
        for _ in range(30):
            await index.rest()
            await asyncio.sleep(0)

    await asyncio.gather(rest(), *(put(number) for number in range(40)))

    assert (await index.stats()).documents == 40
    assert len(await index.search_words("part", 1000)) == 120


async def test_a_caller_that_goes_away_leaves_a_whole_change(index: CollectionIndex) -> None:
    for number in range(20):
        task = asyncio.create_task(index.put_many([document(f"n{number}", 3)]))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    await index.put_many([document("last", 1)])

    documents = await index.documents()
    chunks = [each async for batch in index.iterate() for each in batch]
    assert len(chunks) == sum(each.chunks for each in documents)
    dense = await index.search_dense(unit(1)[0], 1000)
    words = await index.search_words("part", 1000)
    assert {hit.chunk_id for hit in dense} == {hit.chunk_id for hit in words} == {each.chunk_id for each in chunks}


async def test_many_writers_at_once_share_commits_of_the_words(index: CollectionIndex) -> None:
    await index.put_many([document("first")])
    opened = index._opened
    assert opened is not None
    words = opened.words._view
    assert isinstance(words, MemoryWords)

    async with opened.words._turn:  # as if a commit took until all are written
        writers = [asyncio.create_task(index.put_many([document(f"n{number}")])) for number in range(100)]
        async with asyncio.timeout(60):
            while len(await index.documents()) < 101:
                await asyncio.sleep(0.01)
    await asyncio.gather(*writers)

    assert words.commits <= 4
    assert len(await index.search_words("part", 1000)) == 202


async def test_words_that_were_lost_are_filled_again(index: CollectionIndex) -> None:
    await index.put_many([document(f"n{number}") for number in range(10)])
    await index.delete(["doc_n3"])
    await index.put_many([document("more")])
    await index.rest()
    shutil.rmtree(index.folder / "words")

    assert len(await index.search_words("part", 1000)) == 20
    assert await index.search_words("n3", 1000) == []


async def test_words_that_missed_the_last_changes_catch_up(index: CollectionIndex, root: Path) -> None:
    await index.put_many([document("a"), document("b")])
    await index.rest()
    shutil.copytree(index.folder / "words", root / "earlier")
    await index.delete(["doc_a"])
    await index.put_many([document("c")])
    await index.rest()
    shutil.rmtree(index.folder / "words")
    shutil.copytree(root / "earlier", index.folder / "words")

    found = await index.chunks([hit.chunk_id for hit in await index.search_words("part", 100)])

    assert {each.document.id for each in found} == {"doc_b", "doc_c"}


async def test_words_that_know_of_changes_that_never_were_are_filled_again(index: CollectionIndex, root: Path) -> None:
    """As after a power cut that took the truth back, or a folder put back from an older copy."""
    await index.put_many([document("a")])
    await index.rest()
    shutil.copyfile(index.folder / "chunks.db", root / "earlier")
    await index.put_many([document("b")])
    await index.rest()
    shutil.copyfile(root / "earlier", index.folder / "chunks.db")

    assert await index.search_words("b", 100) == []
    assert len(await index.search_words("a", 100)) == 2
    await index.put_many([document("c")])
    assert len(await index.search_words("c", 100)) == 2


async def test_a_damaged_file_is_told_and_not_repaired_by_guessing(index: CollectionIndex) -> None:
    await index.put_many([document("a")])
    await index.rest()
    (index.folder / "chunks.db").write_bytes(b"no database" * 1000)

    with pytest.raises(CollectionUnreadable):
        await index.stats()


async def test_reads_go_on_while_a_long_change_is_written(index: CollectionIndex) -> None:
    await index.put_many([document("first", 3)])
    large = [document(f"n{number}", 20) for number in range(200)]
    writing = asyncio.create_task(index.put_many(large))
    reads = 0
    while not writing.done():
        found = await index.search_dense(document("first", 3).vectors[0], 1)
        assert len(found) == 1
        reads += 1
    await writing

    assert reads > 1
    assert (await index.stats()).chunks == 4003


def test_no_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    failures.require_room(tmp_path, 1, 0)
    with pytest.raises(StorageFull):
        failures.require_room(tmp_path, 2**60, 0)
    with pytest.raises(StorageFull):
        failures.require_room(tmp_path, 1, 2**60)


def test_the_log_says_why_something_in_the_background_failed() -> None:
    with capture_logs() as logs, failures.logged_failures("col_a"):
        raise Unavailable("Try again later.") from ValueError("the lock is held")

    assert [(log["collection"], log["error"]) for log in logs] == [("col_a", "ValueError('the lock is held')")]


async def test_vectors_of_the_wrong_model_and_of_none_are_refused(index: CollectionIndex) -> None:
    with pytest.raises(Conflict):
        await index.fill([1], np.zeros((1, MODEL.dimensions), np.float32))
