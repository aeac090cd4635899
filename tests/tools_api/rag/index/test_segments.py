"""Vectors move into segments and stay findable there, whatever kind they are and whatever is deleted."""

import random
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.tools_api.rag.index.conftest import COLLECTION, DIMENSIONS, MODEL, SMALL, document, unit
from tests.tools_api.rag.index.memory_words import MemoryWords
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.index.values import DocumentToPut
from tools_api.rag.values import IndexType

KINDS = ("Flat", "IVF", "HNSW")


class Model:
    """What the collection should hold, kept in a dictionary and searched by hand."""

    def __init__(self) -> None:
        self.documents: dict[str, DocumentToPut] = {}

    def put(self, items: list[DocumentToPut]) -> None:
        self.documents |= {item.record.id: item for item in items}

    def delete(self, ids: list[str]) -> None:
        for each in ids:
            self.documents.pop(each, None)

    def search(self, query: NDArray[np.float32], k: int, among: set[str] | None = None) -> list[tuple[str, int]]:
        scored = [
            (float(vector @ query), item.record.id, ordinal)
            for item in self.documents.values()
            if among is None or item.record.id in among
            for ordinal, vector in enumerate(item.vectors)
        ]
        return [(each, ordinal) for _, each, ordinal in sorted(scored, reverse=True)[:k]]


async def found(
    index: CollectionIndex, query: NDArray[np.float32], k: int, among: set[str] | None = None
) -> list[tuple[str, int]]:
    hits = await index.search_dense(query, k, documents=None if among is None else sorted(among))
    chunks = await index.chunks([hit.chunk_id for hit in hits])
    assert len(chunks) == len(hits) == len({hit.chunk_id for hit in hits})
    return [(each.document.id, each.chunk.ordinal) for each in chunks]


async def test_what_is_flat_is_exact_through_any_history(index: CollectionIndex) -> None:
    chance, model = random.Random(5), Model()
    for step in range(30):
        items = [
            document(f"n{chance.randrange(40)}", chance.randrange(1, 5), seed=1000 * step + at)
            for at in range(chance.randrange(1, 8))
        ]
        gone = [f"doc_n{chance.randrange(40)}" for _ in range(chance.randrange(4))]
        await index.put_many(items)
        model.put(items)
        await index.delete(gone)
        model.delete(gone)
        if step % 5 == 4:
            await index.settle()
        query = unit(step)[0]
        assert await found(index, query, 10) == model.search(query, 10)
        among = {each for each in model.documents if chance.random() < 0.3}
        assert await found(index, query, 5, among) == model.search(query, 5, among)

    stats = await index.stats()
    assert stats.segments >= 1
    assert stats.chunks == sum(len(item.chunks) for item in model.documents.values())


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_returns_exactly_what_a_narrow_filter_lets_through(indexes: Indexes, kind: str) -> None:
    index = await indexes.open("kinds", MODEL, cast("IndexType", kind))
    items = [document(f"n{number}", 4) for number in range(100)]
    await index.put_many(items)
    await index.settle()
    model = Model()
    model.put(items)

    for number in range(10):
        query, among = unit(number)[0], {f"doc_n{number}", f"doc_n{number + 50}"}
        assert await found(index, query, 5, among) == model.search(query, 5, among)
        assert len(await found(index, query, 100, among)) == 8
    kinds = {segment.row.kind for segment in _segments(index)}
    assert kind in kinds


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_returns_all_that_is_there_and_nothing_deleted(indexes: Indexes, kind: str) -> None:
    index = await indexes.open("kinds", MODEL, cast("IndexType", kind))
    await index.put_many([document(f"n{number}", 4) for number in range(100)])
    await index.settle()
    await index.delete([f"doc_n{number}" for number in range(100) if number % 10])

    everything = await found(index, unit(1)[0], 1000)

    assert {each for each, _ in everything} == {f"doc_n{number}" for number in range(0, 100, 10)}
    assert len(everything) == 40


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["IVF", "HNSW"])
async def test_an_approximate_kind_finds_nearly_all_of_the_best_ten(tmp_path: Path, kind: str) -> None:
    options = replace(SMALL, head=256, merge=4, approximate_from=1000, largest=10_000)
    indexes = Indexes(tmp_path, MemoryWords, options)
    await indexes.start()
    index = await indexes.open(COLLECTION, MODEL, cast("IndexType", kind))
    items = [document(f"n{number}", 50) for number in range(100)]
    await index.put_many(items)
    await index.settle()
    model = Model()
    model.put(items)

    shares = [len(set(await found(index, query, 10)) & set(model.search(query, 10))) / 10 for query in unit(9, rows=50)]

    assert {segment.row.kind for segment in _segments(index)} >= {kind}
    assert np.mean(shares) > 0.9
    await indexes.aclose()


async def test_changing_the_index_type_writes_large_segments_anew(index: CollectionIndex) -> None:
    await index.put_many([document(f"n{number}", 4) for number in range(100)])
    await index.settle()
    assert {segment.row.kind for segment in _segments(index)} == {"Flat"}

    await index.set_index_type("HNSW")
    await index.settle()

    assert "HNSW" in {segment.row.kind for segment in _segments(index)}
    assert len(await found(index, unit(1)[0], 1000)) == 400


async def test_deleted_vectors_leave_the_files(index: CollectionIndex) -> None:
    items = [document(f"n{number}", 4) for number in range(100)]
    await index.put_many(items)
    await index.settle()
    await index.delete(["doc_n5"])

    await index.purge()

    assert (await index.stats()).dead_share == 0
    files = [path for path in index.folder.rglob("*") if path.is_file()]
    for vector in items[5].vectors:
        assert not any(vector.tobytes() in path.read_bytes() for path in files)
    assert any(items[6].vectors[0].tobytes() in path.read_bytes() for path in files)


async def test_a_segment_whose_vectors_are_all_deleted_is_removed(index: CollectionIndex) -> None:
    await index.put_many([document(f"n{number}", 4) for number in range(50)])
    await index.settle()
    await index.delete([f"doc_n{number}" for number in range(50)])

    await index.purge()

    assert (await index.stats()).segments == 0
    assert list((index.folder / "vectors").iterdir()) == []


@pytest.mark.parametrize("damage", ["missing", "cut", "changed", "empty"])
async def test_a_damaged_segment_is_made_again_from_the_truth(index: CollectionIndex, damage: str) -> None:
    items = [document(f"n{number}", 4) for number in range(50)]
    await index.put_many(items)
    await index.settle()
    model = Model()
    model.put(items)
    await index.rest()
    for file in (index.folder / "vectors").iterdir():
        content = bytearray(file.read_bytes())
        if damage == "missing":
            file.unlink()
            continue
        content[len(content) // 2] ^= 0xFF
        file.write_bytes({"cut": bytes(content[:100]), "changed": bytes(content), "empty": b""}[damage])

    assert await found(index, unit(3)[0], 10) == model.search(unit(3)[0], 10)
    assert len(await found(index, unit(3)[0], 1000)) == 200


async def test_what_a_crash_left_beside_the_segments_is_removed(index: CollectionIndex) -> None:
    await index.put_many([document(f"n{number}", 4) for number in range(50)])
    await index.settle()
    await index.rest()
    folder = index.folder / "vectors"
    (folder / "99999999.faiss").write_bytes(b"nobody knows this one")
    (folder / "00000007.faiss.tmp").write_bytes(b"half")

    await index.search_dense(unit(1)[0], 1)

    assert not (folder / "99999999.faiss").exists()
    assert not (folder / "00000007.faiss.tmp").exists()


async def test_churn_of_one_document_does_not_grow_what_is_in_memory(index: CollectionIndex) -> None:
    for seed in range(40):
        await index.put_many([document("ada", 3, seed=seed)])

    assert (await index.stats()).head <= 2 * SMALL.head + 3


async def test_a_closed_collection_opens_again_with_all_that_it_had(index: CollectionIndex) -> None:
    await index.put_many([document(f"n{number}", 3) for number in range(30)])
    await index.delete(["doc_n3"])
    query = unit(4)[0]
    before = await found(index, query, 1000)

    assert await index.rest()
    assert index.memory_bytes == 0

    assert await found(index, query, 1000) == before
    assert len(before) == 29 * 3


def _segments(index: CollectionIndex) -> tuple[object, ...]:
    opened = index._opened
    assert opened is not None
    assert opened.dense.dimensions == DIMENSIONS
    return opened.dense.view.segments
