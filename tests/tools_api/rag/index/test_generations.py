"""Another embedding model: its vectors are filled in while the old ones are searched, then take their place."""

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.errors import Conflict, InvalidRequest
from tests.tools_api.rag.index.conftest import MODEL, document, unit
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.values import VectorModel

NEXT = VectorModel("model-b", 12)


def new_vector(chunk_id: int) -> NDArray[np.float32]:
    return unit(chunk_id + 10_000, 1, 12)


async def fill_all(index: CollectionIndex, at_once: int = 7) -> None:
    while chunks := await index.lacking_vectors(limit=at_once):
        ids = [stored.chunk_id for stored in chunks]
        await index.fill(ids, np.concatenate([new_vector(number) for number in ids]))


async def test_the_old_vectors_are_searched_until_all_new_ones_are_there(index: CollectionIndex) -> None:
    await index.put_many([document(f"n{number}", 3) for number in range(60)])
    await index.settle()
    old = document("n5").vectors[1]
    before = await index.search_dense(old, 10)

    await index.begin_generation(NEXT.fingerprint, NEXT.dimensions)
    with pytest.raises(Conflict, match="180 chunks"):
        await index.commit_generation()
    await fill_all(index)
    assert (await index.stats()).pending == 0
    assert await index.search_dense(old, 10) == before
    assert await index.model() == MODEL
    await index.commit_generation()

    assert await index.model() == NEXT
    with pytest.raises(InvalidRequest):
        await index.search_dense(old, 10)
    for hit in before:
        [found] = await index.search_dense(new_vector(hit.chunk_id)[0], 1)
        assert found.chunk_id == hit.chunk_id
        assert found.score == pytest.approx(1, abs=1e-5)
    assert len(await index.search_dense(new_vector(1)[0], 1000)) == 180
    assert len(await index.search_words("n5", 1000)) == 33
    assert (await index.stats()).pending is None


async def test_documents_that_come_and_go_meanwhile(index: CollectionIndex) -> None:
    await index.put_many([document(f"n{number}", 3) for number in range(30)])
    await index.begin_generation(NEXT.fingerprint, NEXT.dimensions)
    first = await index.lacking_vectors(limit=10)
    ids = [stored.chunk_id for stored in first]

    await index.delete([first[0].document.id])
    replaced, added = document("n20", 2, seed=1, dimensions=12), document("new", 4, dimensions=12)
    await index.put_many([replaced, added], fingerprint=NEXT.fingerprint)
    with pytest.raises(InvalidRequest):
        await index.put_many([document("old", 2)])
    with pytest.raises(Conflict):
        await index.put_many([document("old", 2)], fingerprint=MODEL.fingerprint)
    await index.fill(ids, np.concatenate([new_vector(number) for number in ids]))  # three of them are gone by now
    assert len(await index.search_words("new", 10)) == 4
    await fill_all(index)
    await index.commit_generation()

    assert len(await index.search_dense(added.vectors[0], 1000)) == 28 * 3 + 2 + 4
    [hit] = await index.search_dense(added.vectors[2], 1)
    assert [each.chunk.ordinal for each in await index.chunks([hit.chunk_id])] == [2]


async def test_it_goes_on_where_it_was_left(index: CollectionIndex) -> None:
    await index.put_many([document(f"n{number}", 3) for number in range(30)])
    await index.begin_generation(NEXT.fingerprint, NEXT.dimensions)
    some = [stored.chunk_id for stored in await index.lacking_vectors(limit=50)]
    await index.fill(some, np.concatenate([new_vector(number) for number in some]))
    await index.fill(some, np.concatenate([new_vector(number) for number in some]))
    await index.rest()

    await index.begin_generation(NEXT.fingerprint, NEXT.dimensions)

    assert (await index.stats()).pending == 40
    assert not {stored.chunk_id for stored in await index.lacking_vectors(limit=1000)} & set(some)
    await fill_all(index)
    await index.commit_generation()
    assert await index.model() == NEXT


async def test_a_third_model_begins_anew(index: CollectionIndex) -> None:
    await index.put_many([document(f"n{number}", 3) for number in range(30)])
    await index.begin_generation(NEXT.fingerprint, NEXT.dimensions)
    await fill_all(index)

    await index.begin_generation("model-c", 12)

    assert (await index.stats()).pending == 90
    await fill_all(index)
    await index.commit_generation()
    assert (await index.model()).fingerprint == "model-c"


async def test_giving_up_keeps_the_old_vectors(index: CollectionIndex) -> None:
    await index.put_many([document(f"n{number}", 3) for number in range(30)])
    await index.begin_generation(NEXT.fingerprint, NEXT.dimensions)
    await fill_all(index)

    await index.abandon_generation()

    assert (await index.stats()).next_model is None
    assert len(await index.search_dense(document("n5").vectors[1], 1000)) == 90
    with pytest.raises(Conflict):
        await index.fill([1], new_vector(1))
    with pytest.raises(Conflict):
        await index.commit_generation()


async def test_nothing_is_left_of_the_old_vectors(index: CollectionIndex) -> None:
    items = [document(f"n{number}", 3) for number in range(60)]
    await index.put_many(items)
    await index.settle()
    await index.begin_generation(NEXT.fingerprint, NEXT.dimensions)
    await fill_all(index)
    await index.commit_generation()

    await index.abandon_generation()  # nothing to give up: it only has to do no harm
    await index.purge()

    content = b"".join(path.read_bytes() for path in index.folder.rglob("*") if path.is_file())
    assert not [item.record.id for item in items if item.vectors[0].tobytes() in content]
    assert new_vector(7)[0].tobytes() in content
