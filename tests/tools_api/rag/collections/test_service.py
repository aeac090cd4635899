"""The life of a collection in the catalogue."""

import asyncio

import pytest

from shared.errors import Conflict, InvalidRequest, NotFound, StorageFull
from tests.tools_api.rag.encoders import NamedEncoder
from tools_api.db import Database
from tools_api.rag.collections import store
from tools_api.rag.collections.access import Access, CollectionNotFound
from tools_api.rag.collections.service import CollectionDefaults, CollectionService, NameTaken, TooManyCollections
from tools_api.rag.collections.values import Grant
from tools_api.rag.values import Owner

ANNA, BERT = Owner("portal", "anna"), Owner("portal", "bert")


async def test_what_is_made_is_described(collections: CollectionService) -> None:
    made = await collections.create(
        ANNA, "notes", description="mine", index_type="HNSW", chunk_tokens=128, metadata={"year": 2026}
    )
    plain = await collections.create(ANNA, "plain")

    assert await collections.get(ANNA, "notes") == made
    assert (made.collection.index_type, made.collection.chunk_tokens, made.collection.metadata) == (
        "HNSW", 128, {"year": 2026},
    )  # fmt: skip
    assert (plain.collection.index_type, plain.collection.chunk_tokens) == ("Flat", 512)
    assert made.collection.id.startswith("col_")
    assert made.collection.id != plain.collection.id


async def test_a_name_is_taken_once_by_an_owner(collections: CollectionService) -> None:
    await collections.create(ANNA, "notes")
    await collections.create(BERT, "notes")
    other = await collections.create(ANNA, "other")

    with pytest.raises(NameTaken):
        await collections.create(ANNA, "notes")
    with pytest.raises(NameTaken):
        await collections.change(ANNA, other.collection.id, {"name": "notes"})
    assert (
        await collections.change(ANNA, "notes", {"name": "notes", "description": "x"})
    ).collection.description == "x"


async def test_one_owner_has_so_many_and_no_more_also_at_once(collections: CollectionService) -> None:
    results = await asyncio.gather(
        *(collections.create(ANNA, f"c{number}") for number in range(10)), return_exceptions=True
    )

    assert sum(isinstance(result, TooManyCollections) for result in results) == 5
    await collections.create(BERT, "his")
    await collections.delete(ANNA, "c0")
    await collections.create(ANNA, "again")


async def test_pages_go_through_all_of_them_once(collections: CollectionService) -> None:
    for number in range(5):
        await collections.create(ANNA, f"c{number}")
    seen: list[str] = []
    after, more = None, True
    while more:
        page, more = await collections.page(ANNA, limit=2, after=after)
        seen += [view.collection.name for view in page]
        after = page[-1].collection.id

    assert seen == ["c4", "c3", "c2", "c1", "c0"]
    with pytest.raises(InvalidRequest, match="after"):
        await collections.page(BERT, limit=2, after=after)


async def test_a_deleted_one_is_gone_with_what_is_in_it_and_its_name_is_free(
    collections: CollectionService, access: Access, removed: list[str]
) -> None:
    made = await collections.create(ANNA, "notes")
    await collections.share(ANNA, "notes", Grant("bert", "writer"))

    assert await collections.delete(ANNA, "notes") == made.collection.id
    assert removed == [made.collection.id]
    for owner in (ANNA, BERT):
        with pytest.raises(CollectionNotFound):
            await access.collection(owner, made.collection.id)
    assert (await collections.create(ANNA, "notes")).collection.id != made.collection.id


async def test_a_removal_that_breaks_off_is_unreachable_at_once_and_finished_later(
    database: Database, access: Access, encoder: NamedEncoder
) -> None:
    full = True

    async def remove(_collection_id: str) -> None:
        if full:
            raise StorageFull("The disk is full.")

    collections = CollectionService(database, access, encoder, defaults=CollectionDefaults(), removals=[remove])
    await collections.create(ANNA, "notes")
    with pytest.raises(StorageFull):
        await collections.delete(ANNA, "notes")
    with pytest.raises(CollectionNotFound):
        await collections.get(ANNA, "notes")
    await collections.create(ANNA, "notes")

    full = False
    await collections.finish_removals(await collections.unfinished())
    async with database.session() as db:
        assert await store.deleting(db) == []


async def test_a_removal_goes_on_when_the_caller_leaves(
    database: Database, access: Access, encoder: NamedEncoder
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def remove(_collection_id: str) -> None:
        begun.set()
        await go_on.wait()

    collections = CollectionService(database, access, encoder, defaults=CollectionDefaults(), removals=[remove])
    await collections.create(ANNA, "notes")
    asking = asyncio.create_task(collections.delete(ANNA, "notes"))
    await begun.wait()
    asking.cancel()
    await asyncio.wait({asking})
    go_on.set()
    await collections.aclose()

    async with database.session() as db:
        assert await store.deleting(db) == []


async def test_another_embedding_model_is_noticed(
    collections: CollectionService, database: Database, encoder: NamedEncoder
) -> None:
    made = await collections.create(ANNA, "notes")
    assert not made.needs_reindex
    async with database.transaction() as db:
        await store.change(db, made.collection.id, {"embedding_fingerprint": "model-1", "embedding_model": "test"})
    assert not (await collections.get(ANNA, "notes")).needs_reindex

    encoder.fingerprint = "model-2"
    assert (await collections.get(ANNA, "notes")).needs_reindex


async def test_grants_are_listed_replaced_and_taken_back(collections: CollectionService) -> None:
    await collections.create(ANNA, "notes")
    await collections.share(ANNA, "notes", Grant("bert", "reader"))
    await collections.share(ANNA, "notes", Grant("bert", "writer"))
    assert await collections.grants(ANNA, "notes") == [Grant("bert", "writer")]

    await collections.unshare(ANNA, "notes", "bert")
    assert await collections.grants(ANNA, "notes") == []
    for person in ("bert", "nobody", "\0"):
        with pytest.raises(NotFound):
            await collections.unshare(ANNA, "notes", person)
    with pytest.raises(InvalidRequest, match="belongs"):
        await collections.share(ANNA, "notes", Grant("anna", "reader"))


async def test_grants_are_bounded(collections: CollectionService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools_api.rag.collections.service._MAX_GRANTS", 2)
    await collections.create(ANNA, "notes")
    for person in ("bert", "cara", "bert"):
        await collections.share(ANNA, "notes", Grant(person, "reader"))

    with pytest.raises(Conflict, match=r"`\*`"):
        await collections.share(ANNA, "notes", Grant("dora", "reader"))
