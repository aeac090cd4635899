"""A full disk: what does not fit is refused and nothing is half written; with room again, everything works again."""

import os
import subprocess
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.errors import StorageFull
from tests.tools_api.rag.index.conftest import MODEL, SMALL, document, unit
from tests.tools_api.rag.index.memory_words import MemoryWords
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.words.view import words_opener

MIB = 2**20
TEXT = "what fills the disk " * 8000
pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "tmpfs", str(tmp_path)], check=False, capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("needs a file system of its own, which only root may mount")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


async def fill_up(index: CollectionIndex) -> int:
    """Put documents until one is refused; return how many were taken."""
    for number in range(2000):
        try:
            await index.put_many([document(f"n{number}", 1, text=TEXT)])
        except StorageFull:
            return number
    raise AssertionError("the disk took everything")


async def whole(index: CollectionIndex) -> set[str]:
    """Return the names of the documents, each of which is there with all that belongs to it."""
    documents = {each.record.id for each in await index.documents(limit=5000)}
    chunks = [each async for batch in index.iterate() for each in batch]
    dense = await index.search_dense(unit(1)[0], 5000)
    assert {each.document.id for each in chunks} == documents
    assert {hit.chunk_id for hit in dense} == {each.chunk_id for each in chunks}
    assert all(each.chunk.text.startswith(TEXT) for each in chunks)
    return documents


@pytest.mark.parametrize("reserve", [0, 2 * MIB])
@pytest.mark.parametrize("words", [MemoryWords, words_opener("english")], ids=["memory", "tantivy"])
async def test_a_full_disk_refuses_and_recovers(small_disk: Path, reserve: int, words: object) -> None:
    options = replace(SMALL, reserve_bytes=reserve, log_bytes=2 * MIB)
    indexes = Indexes(small_disk, words, options)  # pyright: ignore[reportArgumentType]
    await indexes.start()
    index = await indexes.open("c", MODEL, "Flat")

    taken = await fill_up(index)
    documents = await whole(index)
    assert taken > 8
    assert {f"doc_n{number}" for number in range(taken)} <= documents
    (small_disk / "other").write_bytes(b"")
    with pytest.raises(StorageFull):
        await index.put_many([document(f"m{number}", 1, text=TEXT) for number in range(100)])
    assert await whole(index) == documents

    (small_disk / "other").unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    await index.put_many([document("late", 2, text=TEXT)])
    assert await whole(index) == documents | {"doc_late"}
    assert len(await index.search_words("late", 10)) == 2
    await index.delete([f"doc_n{number}" for number in range(taken)])
    await index.purge()
    assert await whole(index) == {"doc_late"} | {each for each in documents if each == f"doc_n{taken}"}
    assert await index.rest()
    assert "doc_late" in await whole(index)
    await indexes.aclose()


async def test_with_a_reserve_documents_can_be_deleted_from_a_full_disk(small_disk: Path) -> None:
    options = replace(SMALL, reserve_bytes=4 * MIB, log_bytes=MIB)
    indexes = Indexes(small_disk, MemoryWords, options)
    await indexes.start()
    index = await indexes.open("c", MODEL, "Flat")
    taken = await fill_up(index)

    await index.delete([f"doc_n{number}" for number in range(taken // 2)])
    await index.purge()

    await index.put_many([document("late", 1, text=TEXT)])
    assert await whole(index) == {"doc_late", *(f"doc_n{number}" for number in range(taken // 2, taken))}
    await indexes.aclose()


async def test_a_snapshot_that_does_not_fit_leaves_no_file(small_disk: Path, tmp_path: Path) -> None:
    indexes = Indexes(small_disk, MemoryWords, replace(SMALL, reserve_bytes=4 * MIB, log_bytes=MIB))
    await indexes.start()
    index = await indexes.open("c", MODEL, "Flat")
    for number in range(30):
        await index.put_many([document(f"n{number}", 1, text=os.urandom(40_000).hex())])
    (small_disk / "other").write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096 - 100_000))

    with pytest.raises(StorageFull):
        await index.snapshot(small_disk / "snapshot")

    assert not (small_disk / "snapshot").exists()
    assert (await index.stats()).documents == 30
    (small_disk / "other").unlink()
    await indexes.aclose()
