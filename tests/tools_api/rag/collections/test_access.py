"""Who reaches which collection."""

import pytest

from shared.errors import PermissionDenied
from tools_api.rag.collections.access import Access, AmbiguousCollection, CollectionNotFound
from tools_api.rag.collections.service import CollectionService
from tools_api.rag.collections.values import EVERYBODY, Grant
from tools_api.rag.values import Owner

ANNA, BERT, CARA = (Owner("portal", person) for person in ("anna", "bert", "cara"))
SERVICE = Owner("portal")
OTHER_SERVICE = Owner("other", "anna")


async def named(access: Access, owner: Owner) -> list[str]:
    return [collection.name for collection in await access.visible(owner)]


async def test_a_collection_is_its_owners_alone_by_name_and_by_id(
    collections: CollectionService, access: Access
) -> None:
    made = (await collections.create(ANNA, "notes")).collection

    assert (await access.collection(ANNA, "notes", "own")).id == made.id
    assert (await access.collection(ANNA, made.id)).role == "owner"
    for stranger in (BERT, SERVICE, OTHER_SERVICE, Owner("portal", "Anna"), Owner("other")):
        assert await named(access, stranger) == []
        for reference in ("notes", made.id):
            with pytest.raises(CollectionNotFound):
                await access.collection(stranger, reference)
            with pytest.raises(CollectionNotFound):
                await access.visible(stranger, [reference])


async def test_what_a_grant_allows_and_what_not(collections: CollectionService, access: Access) -> None:
    made = (await collections.create(ANNA, "notes")).collection
    await collections.share(ANNA, "notes", Grant("bert", "reader"))
    await collections.share(ANNA, "notes", Grant("cara", "writer"))

    assert (await access.collection(BERT, "notes")).role == "reader"
    assert (await access.collection(CARA, made.id, "write")).role == "writer"
    with pytest.raises(PermissionDenied, match="reading only"):
        await access.collection(BERT, "notes", "write")
    with pytest.raises(PermissionDenied, match="owner"):
        await access.collection(CARA, "notes", "own")
    assert await named(access, Owner("other", "bert")) == []


async def test_everybody_is_the_people_of_one_service(collections: CollectionService, access: Access) -> None:
    await collections.create(ANNA, "notes")
    await collections.share(ANNA, "notes", Grant(EVERYBODY, "reader"))

    assert await named(access, BERT) == await named(access, SERVICE) == ["notes"]
    assert await named(access, OTHER_SERVICE) == []


async def test_the_better_of_two_grants_counts_and_revoking_counts_at_once(
    collections: CollectionService, access: Access
) -> None:
    await collections.create(ANNA, "notes")
    await collections.share(ANNA, "notes", Grant(EVERYBODY, "reader"))
    await collections.share(ANNA, "notes", Grant("bert", "writer"))
    assert (await access.collection(BERT, "notes")).role == "writer"

    await collections.unshare(ANNA, "notes", "bert")
    assert (await access.collection(BERT, "notes")).role == "reader"
    await collections.unshare(ANNA, "notes", EVERYBODY)
    assert await named(access, BERT) == []


async def test_an_own_name_comes_before_shared_ones_and_two_shared_ones_are_told_apart(
    collections: CollectionService, access: Access
) -> None:
    shared = [(await collections.create(owner, "notes")).collection for owner in (ANNA, CARA)]
    for owner in (ANNA, CARA):
        await collections.share(owner, "notes", Grant("bert", "reader"))
    with pytest.raises(AmbiguousCollection, match=shared[0].id):
        await access.collection(BERT, "notes")

    own = (await collections.create(BERT, "notes")).collection
    assert (await access.collection(BERT, "notes")).id == own.id
    assert [one.id for one in await access.visible(BERT, [shared[1].id, "notes", own.id])] == [shared[1].id, own.id]


@pytest.mark.parametrize(
    "reference",
    [
        "",
        " ",
        "\0",
        "a\0b",
        "notes' OR '1'='1",
        "%",
        "_otes",
        "NOTES",
        "n" * 500,
        "col_" + "0" * 32,
        "../notes",
        "\ud800",
    ],
)
async def test_no_other_word_reaches_it(collections: CollectionService, access: Access, reference: str) -> None:
    await collections.create(ANNA, "notes")

    for owner in (ANNA, BERT):
        with pytest.raises(CollectionNotFound):
            await access.collection(owner, reference)
        with pytest.raises(CollectionNotFound):
            await access.visible(owner, [reference])
