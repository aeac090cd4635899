"""Documents go in, replace each other, are found and go again."""

import numpy as np
import pytest

from shared.errors import Conflict, InvalidRequest, NotFound
from tests.tools_api.rag.index.conftest import DIMENSIONS, document, unit
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.values import DocumentToPut
from tools_api.rag.values import StoredChunk


async def found_texts(index: CollectionIndex, vector: np.ndarray, k: int = 3) -> list[str]:
    hits = await index.search_dense(vector, k)
    return [stored.chunk.text for stored in await index.chunks([hit.chunk_id for hit in hits])]


async def test_a_chunk_is_found_by_its_vector_and_by_its_words(index: CollectionIndex) -> None:
    await index.put_many([document("ada"), document("bob")])
    ada = document("ada")

    [hit, *_] = await index.search_dense(ada.vectors[1], 1)
    [stored] = await index.chunks([hit.chunk_id])
    [by_words, *_] = await index.search_words("ada part 1", 5)

    assert hit.score == pytest.approx(1, abs=1e-5)
    assert stored == StoredChunk(chunk_id=hit.chunk_id, document=ada.record, chunk=ada.chunks[1])
    assert by_words.chunk_id == hit.chunk_id


async def test_a_new_version_takes_the_place_of_the_old_one(index: CollectionIndex) -> None:
    old, new = document("ada", 3, text="old"), document("ada", 2, seed=7, text="new")
    await index.put(old.record, old.chunks, old.vectors)
    await index.put(new.record, new.chunks, new.vectors)

    assert {text[:3] for text in await found_texts(index, old.vectors[0], 10)} == {"new"}
    assert await index.search_words("old", 10) == []
    assert len(await index.search_words("new", 10)) == 2
    assert (await index.document("doc_ada")).chunks == 2
    assert (await index.stats()).chunks == 2


async def test_putting_the_same_again_changes_nothing_that_is_seen(index: CollectionIndex) -> None:
    ada = document("ada")
    for _ in range(3):
        await index.put(ada.record, ada.chunks, ada.vectors)

    assert len(await index.search_dense(ada.vectors[0], 10)) == 2
    assert len(await index.search_words("ada", 10)) == 2
    assert [found.record.id for found in await index.documents()] == ["doc_ada"]


async def test_what_is_deleted_is_not_found_any_more(index: CollectionIndex) -> None:
    await index.put_many([document("ada"), document("bob")])

    assert await index.delete(["doc_ada", "doc_nobody"]) == 1
    assert await index.delete(["doc_ada"]) == 0

    assert all("bob" in text for text in await found_texts(index, document("ada").vectors[0], 10))
    assert await index.search_words("ada", 10) == []
    with pytest.raises(NotFound):
        await index.document("doc_ada")


async def test_of_two_documents_with_one_id_in_one_put_the_later_stays(index: CollectionIndex) -> None:
    await index.put_many([document("ada", text="first"), document("bob"), document("ada", text="second")])

    assert (await index.stats()).documents == 2
    assert await index.search_words("first", 10) == []


async def test_there_are_never_more_results_than_chunks(index: CollectionIndex) -> None:
    assert await index.search_dense(unit(1)[0], 10) == []
    await index.put_many([document("ada", 3)])
    assert len(await index.search_dense(unit(1)[0], 10)) == 3
    assert len(await index.search_dense(unit(1)[0], 2)) == 2


async def test_a_document_may_have_no_chunks(index: CollectionIndex) -> None:
    await index.put_many([document("empty", 0), document("ada")])

    assert (await index.document("doc_empty")).chunks == 0
    assert len(await index.search_dense(unit(1)[0], 10)) == 2
    assert await index.delete(["doc_empty"]) == 1


async def test_the_neighbourhood_of_a_chunk(index: CollectionIndex) -> None:
    await index.put_many([document("ada", 10), document("bob", 3)])

    near = await index.neighbourhood("doc_ada", around=4, before=1, after=2)
    at_the_start = await index.neighbourhood("doc_ada", around=0, before=5, after=1)
    at_the_end = await index.neighbourhood("doc_ada", around=9, before=1, after=5)
    beyond = await index.neighbourhood("doc_ada", around=99, before=1, after=5)

    assert [each.chunk.ordinal for each in near] == [3, 4, 5, 6]
    assert [each.chunk.ordinal for each in at_the_start] == [0, 1]
    assert [each.chunk.ordinal for each in at_the_end] == [8, 9]
    assert beyond == []


async def test_all_chunks_are_read_in_batches_in_their_order(index: CollectionIndex) -> None:
    await index.put_many([document(f"n{number}", 3) for number in range(5)])
    await index.delete(["doc_n2"])

    batches = [batch async for batch in index.iterate(batch=4)]
    behind = [stored async for batch in index.iterate(after=batches[0][-1].chunk_id, batch=4) for stored in batch]
    some = [stored async for batch in index.iterate(documents=["doc_n1", "doc_n4"]) for stored in batch]

    assert [len(batch) for batch in batches] == [4, 4, 4]
    assert [stored for batch in batches[1:] for stored in batch] == behind
    assert {stored.document.id for stored in some} == {"doc_n1", "doc_n4"}


async def test_an_export_has_every_chunk_with_its_vector(index: CollectionIndex) -> None:
    ada = document("ada", 3, metadata={"year": 1843})
    await index.put_many([ada])

    rows = [row async for row in index.export(vectors=True)]

    assert [row["text"] for row in rows] == [chunk.text for chunk in ada.chunks]
    assert rows[0]["document"]["metadata"] == {"year": 1843}
    assert np.allclose(rows[2]["vector"], ada.vectors[2])
    assert all(["vector" not in row async for row in index.export()])


@pytest.mark.parametrize(
    "vectors",
    [
        np.zeros((2, DIMENSIONS + 1), np.float32),
        np.zeros((1, DIMENSIONS), np.float32),
        np.full((2, DIMENSIONS), np.nan, np.float32),
        np.full((2, DIMENSIONS), 5, np.float32),
    ],
)
async def test_vectors_that_do_not_fit_are_refused(index: CollectionIndex, vectors: np.ndarray) -> None:
    ada = document("ada")

    with pytest.raises(InvalidRequest):
        await index.put(ada.record, ada.chunks, vectors)

    assert (await index.stats()).documents == 0


async def test_vectors_of_another_model_are_refused(index: CollectionIndex) -> None:
    ada = document("ada")

    with pytest.raises(Conflict):
        await index.put(ada.record, ada.chunks, ada.vectors, fingerprint="model-b")
    await index.put(ada.record, ada.chunks, ada.vectors, fingerprint="model-a")

    assert (await index.stats()).documents == 1


async def test_half_a_surrogate_pair_is_refused_and_nothing_of_the_batch_stays(index: CollectionIndex) -> None:
    broken = document("broken", text="\ud800")

    with pytest.raises(InvalidRequest):
        await index.put_many([document("ada"), DocumentToPut(broken.record, broken.chunks, broken.vectors)])

    assert (await index.stats()).documents == 0
    assert await index.search_words("ada", 5) == []


async def test_text_with_a_nul_comes_back_whole(index: CollectionIndex) -> None:
    await index.put_many([document("ada", 1, text="before\0after")])

    [stored] = [stored async for batch in index.iterate() for stored in batch]

    assert stored.chunk.text == "before\0after ada part 0"
