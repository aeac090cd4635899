"""What is deleted is in no file afterwards: not its text, not its name, not its metadata."""

import asyncio
import random
from pathlib import Path

import pytest

from shared.errors import Conflict
from tests.tools_api.rag.index.conftest import MODEL, document
from tests.tools_api.rag.index.memory_words import MemoryWords
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.index.scrub import unused_parts
from tools_api.rag.index.values import DocumentToPut, IndexOptions


def bytes_of(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def canary(chance: random.Random) -> str:
    return f"{chance.randrange(16**12):012x}"


def with_canary(word: str, chance: random.Random) -> DocumentToPut:
    """A document that says its word in its name, its metadata and all over its chunks."""
    text = f"{word} " * chance.choice([1, 3, 30, 100, 300])
    return document(word, chance.choice([1, 1, 2, 5]), seed=1, text=text, metadata={"m": word})


async def test_nothing_of_deleted_and_replaced_documents_is_left_in_any_file(index: CollectionIndex) -> None:
    """Enough of them that SQLite moves rows between pages, which leaves copies that its own overwriting misses."""
    chance = random.Random(3)
    alive: set[str] = set()
    dead: set[str] = set()
    for _ in range(60):
        new = {canary(chance) for _ in range(chance.randrange(6))}
        gone = set(chance.sample(sorted(alive), min(len(alive), chance.randrange(5))))
        await index.put_many([with_canary(word, chance) for word in sorted(new)])
        await index.delete([f"doc_{word}" for word in sorted(gone)])
        alive, dead = (alive | new) - gone, dead | gone
        if chance.random() < 0.3:
            await index.purge()
            content = bytes_of(index.folder)
            assert not [word for word in dead if word.encode() in content]

    await index.purge()
    await index.put_many([document("later", 3)])  # writes pages again that were in memory
    content = bytes_of(index.folder)
    assert not [word for word in dead if word.encode() in content]
    assert all(word.encode() in content for word in alive)
    assert len(dead) > 50


async def test_it_happens_by_itself_a_little_later(root: Path) -> None:
    options = IndexOptions(head=16, reserve_bytes=0, purge_after_s=0.01, purge_at_most_after_s=0.02)
    indexes = Indexes(root / "own", MemoryWords, options)
    await indexes.start()
    index = await indexes.open("c", MODEL, "Flat")
    await index.put_many([document("secretword"), document("other")])

    await index.delete(["doc_secretword"])
    while b"secretword" in bytes_of(index.folder):
        await index.stats()

    assert b"other" in bytes_of(index.folder)
    await indexes.aclose()


async def test_a_purge_that_a_crash_forgot_is_done_after_the_next_start(index: CollectionIndex, root: Path) -> None:
    await index.put_many([document("secretword"), document("other")])
    await index.delete(["doc_secretword"])
    assert b"secretword" in bytes_of(index.folder)
    crashed = root / "collections" / "crashed"
    crashed.mkdir()
    for path in index.folder.rglob("*"):  # as it is on the disk in this moment
        target = crashed / path.relative_to(index.folder)
        target.mkdir(exist_ok=True) if path.is_dir() else target.write_bytes(path.read_bytes())

    options = IndexOptions(head=16, reserve_bytes=0, purge_after_s=0.01, purge_at_most_after_s=0.02)
    indexes = Indexes(root / "collections", MemoryWords, options)
    await indexes.start()
    again = await indexes.existing("crashed")
    assert again is not None

    assert (await again.stats()).documents == 1
    while b"secretword" in bytes_of(crashed):
        await again.stats()
    await indexes.aclose()


async def test_closing_leaves_one_clean_file(index: CollectionIndex) -> None:
    await index.put_many([document("secretword"), document("other")])
    await index.delete(["doc_secretword"])

    await index.rest()

    assert not (index.folder / "chunks.db-wal").exists()
    assert b"secretword" not in (index.folder / "chunks.db").read_bytes()


async def test_the_file_shrinks_when_much_is_deleted(index: CollectionIndex) -> None:
    text = "word " * 4000
    await index.put_many([document(f"n{number}", 1, text=text, seed=1) for number in range(1000)])
    before = (await index.stats()).bytes
    await index.delete([f"doc_n{number}" for number in range(10, 1000)])

    await index.purge()

    assert (await index.stats()).bytes < before / 2
    assert len([row async for row in index.export()]) == 10


def test_pages_that_are_no_trees_are_left_alone() -> None:
    overflow = bytes([0, 0, 0, 7]) + b"text" * 1000
    looks_like_one = bytes([13, 0, 0, 0, 9, 0x20, 0x00, 0]) + b"x" * 5000

    assert unused_parts(overflow) == []
    assert unused_parts(looks_like_one) == []
    assert unused_parts(b"") == []


def test_the_unused_parts_of_a_page_are_the_gap_and_the_free_blocks() -> None:
    page = bytearray(512)
    page[0:8] = bytes([13, 1, 0x90, 0, 1, 1, 0x80, 0])  # first free block at 400, one cell, content from 384
    page[8:10] = (500).to_bytes(2, "big")
    page[400:404] = bytes([0, 0, 0, 20])

    assert unused_parts(bytes(page)) == [(10, 384), (404, 420)]


async def test_what_a_stop_left_unfinished_is_finished_after_the_next_start(root: Path) -> None:
    options = IndexOptions(head=16, reserve_bytes=0)
    first = Indexes(root / "own", MemoryWords, options)
    await first.start()
    index = await first.open("c", MODEL, "Flat")
    items = [document(f"n{number}", 4) for number in range(50)]
    await index.put_many(items)
    await index.settle()
    await index.delete(["doc_n7"])
    await first.aclose()
    vector = items[7].vectors[0].tobytes()
    assert b"n7 part" not in bytes_of(index.folder)
    assert vector in bytes_of(index.folder)

    again = Indexes(root / "own", MemoryWords, options)
    await again.start()  # nobody asks for the collection
    while vector in bytes_of(index.folder) or (index.folder / "unfinished").exists():
        await asyncio.sleep(0.02)
    await again.aclose()

    assert not (index.folder / "unfinished").exists()


async def test_a_snapshot_waits_for_the_new_model(index: CollectionIndex, root: Path) -> None:
    await index.put_many([document("ada")])
    await index.begin_generation("model-b", 12)

    with pytest.raises(Conflict):
        await index.snapshot(root / "snapshot")

    assert not (root / "snapshot").exists()
    await index.abandon_generation()
    await index.snapshot(root / "snapshot")
    assert (root / "snapshot").exists()
