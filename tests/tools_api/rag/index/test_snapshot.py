"""A collection as a file: written while others write, and read from strangers."""

import asyncio
import hashlib
import os
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from shared.errors import Conflict, InvalidRequest, PayloadTooLarge, StorageFull
from tests.tools_api.rag.index.conftest import MODEL, SMALL, document, unit
from tests.tools_api.rag.index.memory_words import MemoryWords
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.index.values import RestoreLimits
from tools_api.rag.values import StoredChunk

Members = dict[str, bytes]


def renamed(document_id: str) -> str:
    return f"{document_id}_again"


async def contents(index: CollectionIndex) -> list[StoredChunk]:
    return [stored async for batch in index.iterate() for stored in batch]


@pytest.fixture
async def snapshot(index: CollectionIndex, root: Path) -> Path:
    await index.put_many([document(f"n{number}", 3, metadata={"year": number}) for number in range(60)])
    await index.delete(["doc_n7"])
    await index.settle()
    await index.snapshot(root / "snapshot")
    return root / "snapshot"


async def test_a_snapshot_restores_to_the_same_collection(
    indexes: Indexes, index: CollectionIndex, snapshot: Path
) -> None:
    restored = await indexes.restore("other", snapshot, new_id=renamed)
    other = await indexes.existing("other")
    assert other is not None
    before, after = await contents(index), await contents(other)

    assert (restored.documents, restored.chunks, restored.model) == (59, 177, MODEL)
    assert [each.chunk for each in after] == [each.chunk for each in before]
    assert [each.document for each in after] == [
        replace(each.document, id=renamed(each.document.id)) for each in before
    ]
    for query in unit(3, rows=5):
        ours, theirs = await index.search_dense(query, 10), await other.search_dense(query, 10)
        assert [hit.score for hit in ours] == pytest.approx([hit.score for hit in theirs], abs=1e-6)
    assert len(await other.search_words("n9 part 1", 1000)) == 177
    assert (await other.stats()).segments >= 1


async def test_a_snapshot_is_of_one_moment_while_others_write(
    indexes: Indexes, index: CollectionIndex, root: Path
) -> None:
    await index.put_many([document(f"n{number}", 2, seed=0) for number in range(20)])
    writing = asyncio.Event()

    async def write() -> None:
        for seed in range(1, 30):
            await index.put_many([document(f"n{number}", 2, seed=seed) for number in range(20)])
            writing.set()

    task = asyncio.create_task(write())
    await writing.wait()
    for number in range(5):
        await index.snapshot(root / f"s{number}")
    await task

    for number in range(5):
        await indexes.restore(f"r{number}", root / f"s{number}", new_id=str)
        restored = await indexes.existing(f"r{number}")
        assert restored is not None
        stored = await contents(restored)
        assert len(stored) == 40
        assert len({each.document.sha256 for each in stored}) == 1  # all of one put


async def test_snapshots_that_take_long_keep_nobody_from_reading(index: CollectionIndex, root: Path) -> None:
    await index.put_many([document("a", 4000)])  # more than a pipe takes before somebody reads it
    with ExitStack() as stack:
        paths = [root / f"pipe{number}" for number in range(10)]
        for path in paths:
            os.mkfifo(path)
        pipes = [os.open(path, os.O_RDWR | os.O_NONBLOCK) for path in paths]
        for pipe in pipes:
            stack.callback(os.close, pipe)
        writing = asyncio.gather(*(index.snapshot(path) for path in paths))
        try:
            async with asyncio.timeout(30):
                documents = await asyncio.gather(*(index.documents() for _ in range(10)))
            done_before = writing.done()
        finally:
            while not writing.done():
                for pipe in pipes:
                    with suppress(BlockingIOError):
                        os.read(pipe, 1 << 20)
                await asyncio.sleep(0.001)

    assert all(len(each) == 1 for each in documents)
    assert not done_before
    await writing


async def test_a_snapshot_for_which_there_is_no_room_is_not_begun(snapshot: Path, root: Path) -> None:
    full = Indexes(root / "collections", MemoryWords, replace(SMALL, reserve_bytes=2**60))
    index = await full.existing("col_test")
    assert index is not None

    with pytest.raises(StorageFull):
        await index.snapshot(root / "another")

    assert not (root / "another").exists()
    await full.aclose()


async def test_restoring_over_a_collection_is_refused(indexes: Indexes, index: CollectionIndex, snapshot: Path) -> None:
    with pytest.raises(Conflict):
        await indexes.restore(index.folder.name, snapshot, new_id=renamed)

    assert (await index.stats()).documents == 59


async def test_more_than_memory_should_hold_is_sealed_when_it_is_opened(snapshot: Path, root: Path) -> None:
    indexes = Indexes(root / "others", MemoryWords, replace(SMALL, head=8, largest=32))
    await indexes.start()
    await indexes.restore("other", snapshot, new_id=renamed)
    other = await indexes.existing("other")
    assert other is not None

    stats = await other.stats()

    assert stats.head < 32
    assert len(await other.search_dense(unit(1)[0], 1000)) == 177
    await indexes.aclose()


def _changed(name: str, change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Members], None]:
    """Change lines of a member, and let the manifest agree with it."""

    def apply(members: Members) -> None:
        rows = [orjson.loads(line) for line in members[name].splitlines()]
        change(rows)
        members[name] = b"".join(orjson.dumps(row) + b"\n" for row in rows)
        manifest = orjson.loads(members["manifest.json"])
        manifest["sha256"][name] = hashlib.sha256(members[name]).hexdigest()
        members["manifest.json"] = orjson.dumps(manifest)

    return apply


def _row(name: str, /, **values: Any) -> Callable[[Members], None]:
    return _changed(name, lambda rows: rows[3].update(values))


def _manifest(**values: Any) -> Callable[[Members], None]:
    def apply(members: Members) -> None:
        members["manifest.json"] = orjson.dumps(orjson.loads(members["manifest.json"]) | values)

    return apply


def _vectors(values: np.ndarray) -> Callable[[Members], None]:
    def apply(members: Members) -> None:
        members["vectors.f32"] = values.astype("<f4").tobytes()
        manifest = orjson.loads(members["manifest.json"])
        manifest["sha256"]["vectors.f32"] = hashlib.sha256(members["vectors.f32"]).hexdigest()
        members["manifest.json"] = orjson.dumps(manifest)

    return apply


HOSTILE: Mapping[str, Callable[[Members], object]] = {
    "a member is missing": lambda members: members.pop("chunks.jsonl"),
    "a member too many": lambda members: members.update({"../../evil": b"x"}),
    "an absolute name": lambda members: members.update({"/etc/cron.d/x": members.pop("chunks.jsonl")}),
    "no manifest": lambda members: members.update({"manifest.json": b"no"}),
    "another format": _manifest(format=99),
    "a field too many": _manifest(extra=1),
    "too many dimensions": _manifest(dimensions=10**6),
    "no dimensions": _manifest(dimensions=0),
    "other dimensions": _manifest(dimensions=4),
    "more chunks": _manifest(chunks=178),
    "fewer chunks": _manifest(chunks=176),
    "more documents": _manifest(documents=60),
    "fewer documents": _manifest(documents=58),
    "counts of the wrong type": _manifest(chunks="177"),
    "another checksum": _manifest(sha256={"documents.jsonl": "0", "chunks.jsonl": "0", "vectors.f32": "0"}),
    "no checksums": _manifest(sha256={}),
    "an unknown kind": _manifest(index_type="Evil"),
    "lines that are no JSON": lambda members: members.update({"documents.jsonl": b"{]\n" * 59}),
    "lines that are too long": lambda members: members.update({"chunks.jsonl": b'"' + b"x" * 9_000_000 + b'"\n'}),
    "deep JSON": lambda members: members.update({"documents.jsonl": b"[" * 100_000 + b"\n"}),
    "a document twice": _changed("documents.jsonl", lambda rows: rows[3].update(id=rows[4]["id"])),
    "a document with more chunks": _row("documents.jsonl", chunks=4),
    "a document with billions of chunks": _row("documents.jsonl", chunks=2**40),
    "a document with -1 chunks": _row("documents.jsonl", chunks=-1),
    "a document without a name": _row("documents.jsonl", name=None),
    "a document of no time": _row("documents.jsonl", created_at="yesterday"),
    "a document of no time in UTC": _row("documents.jsonl", created_at="0001-01-01T00:00:00+14:00"),
    "an endless name": _row("documents.jsonl", name="x" * 100_000),
    "metadata that is a list": _row("documents.jsonl", metadata=[1]),
    "a chunk out of order": _row("chunks.jsonl", ordinal=7),
    "a chunk without text": _row("chunks.jsonl", text=None),
    "an endless chunk": _row("chunks.jsonl", text="x" * 200_000, end=200_000),
    "a chunk that is shorter than it says": _row("chunks.jsonl", end=10**9),
    "a chunk far behind the one before it": _changed(
        "chunks.jsonl", lambda rows: rows[4].update(start=2**40, end=2**40 + len(rows[4]["text"]))
    ),
    "a chunk before the one before it": _changed(
        "chunks.jsonl", lambda rows: rows[4].update(start=0, end=len(rows[4]["text"]))
    ),
    "a page that is text": _row("chunks.jsonl", page="1"),
    "a page beyond all numbers": _row("chunks.jsonl", page=2**60),
    "headings that are text": _row("chunks.jsonl", headings="abc"),
    "vectors that are no numbers": _vectors(np.full((177, 8), np.nan)),
    "vectors that are too long": _vectors(np.full((177, 8), 1e30)),
    "vectors that are too few": _vectors(unit(1, 176)),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_snapshot_is_refused_in_words(indexes: Indexes, snapshot: Path, root: Path, what: str) -> None:
    with zipfile.ZipFile(snapshot) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    HOSTILE[what](members)
    with zipfile.ZipFile(root / "hostile", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)

    await _refused(indexes, root, indexes.restore("other", root / "hostile", new_id=renamed))


async def test_a_bomb_is_refused_before_it_is_unpacked(indexes: Indexes, snapshot: Path, root: Path) -> None:
    with pytest.raises(PayloadTooLarge):
        await indexes.restore("other", snapshot, new_id=renamed, limits=RestoreLimits(bytes=10_000))

    assert {path.name for path in (root / "collections").iterdir()} == {"col_test"}


async def test_too_many_documents_are_refused_before_they_are_written(
    indexes: Indexes, snapshot: Path, root: Path
) -> None:
    with pytest.raises(PayloadTooLarge, match="59 documents"):
        await indexes.restore("other", snapshot, new_id=renamed, limits=RestoreLimits(documents=58))

    assert (await indexes.restore("all", snapshot, new_id=renamed, limits=RestoreLimits(documents=59))).documents == 59


async def test_a_document_that_would_fill_the_memory_is_refused(indexes: Indexes, snapshot: Path, root: Path) -> None:
    limits = RestoreLimits(characters_per_document=40)

    await _refused(indexes, root, indexes.restore("other", snapshot, new_id=renamed, limits=limits))


@pytest.mark.parametrize("keep", [0, 10, 1000, -1, -30])
async def test_what_is_cut_or_no_archive_is_refused(indexes: Indexes, snapshot: Path, root: Path, keep: int) -> None:
    (root / "cut").write_bytes(snapshot.read_bytes()[:keep])

    await _refused(indexes, root, indexes.restore("other", root / "cut", new_id=renamed))


async def test_a_damaged_archive_is_refused_wherever_it_is_damaged(
    indexes: Indexes, snapshot: Path, root: Path
) -> None:
    whole = snapshot.read_bytes()
    refused = 0
    for at in range(0, len(whole), len(whole) // 60):
        (root / "damaged").write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            await indexes.restore(f"other{at}", root / "damaged", new_id=renamed)
        except (InvalidRequest, PayloadTooLarge):
            refused += 1

    assert refused > 50  # the others hit a date or another byte that means nothing


async def test_two_members_of_one_name_are_refused(indexes: Indexes, snapshot: Path, root: Path) -> None:
    with zipfile.ZipFile(snapshot, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("chunks.jsonl", b"{}")

    await _refused(indexes, root, indexes.restore("other", snapshot, new_id=renamed))


async def _refused(indexes: Indexes, root: Path, attempt: Awaitable[object]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await attempt
    assert refused.value.message.startswith("The snapshot can't be restored")
    assert str(root) not in refused.value.message
    assert await indexes.existing("other") is None
    assert {path.name for path in (root / "collections").iterdir()} == {"col_test"}
