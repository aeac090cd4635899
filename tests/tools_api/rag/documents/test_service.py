"""Uploads become documents: names are unique, contents kept once, shares of the disk exact; deletion deletes."""

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    PermissionDenied,
    StorageFull,
    TwinportError,
)
from tests.tools_api.rag.documents.conftest import MakeIdle
from tests.tools_api.rag.ingestion.harness import ADA, BOB, Files
from tools_api.rag.collections.values import Grant
from tools_api.rag.documents.intake import QuotaExceeded
from tools_api.rag.parsing import ArchiveRefused
from tools_api.rag.parsing.values import MemberRefused
from tools_api.rag.values import ParseFailure


async def test_files_are_kept_and_queued(idle: MakeIdle) -> None:
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    upload = await service.documents.upload(ADA, "docs", Files({"a.txt": "one", "../b/c.md": "two"}, {"year": 2024}))
    assert [(one.document.name, one.outcome, one.document.state) for one in upload.files] == [
        ("a.txt", "queued", "queued"),
        ("b/c.md", "queued", "queued"),
    ]
    assert upload.files[0].document.metadata == {"year": 2024}
    assert service.kept() == [b"one", b"two"]
    assert service.worker.woken == 1
    content = await service.documents.content(ADA, "docs", upload.files[1].document.id)
    assert b"".join([chunk async for chunk in content.chunks]) == b"two"


async def test_the_same_file_again_is_unchanged(idle: MakeIdle) -> None:
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    first = await service.documents.upload(ADA, "docs", Files({"a.txt": "one"}))
    again = await service.documents.upload(ADA, "docs", Files({"a.txt": "one"}))
    assert again.files[0].outcome == "unchanged"
    assert again.files[0].document.id == first.files[0].document.id
    assert again.files[0].document.job_id == first.job_id


async def test_other_metadata_is_reason_to_index_again(idle: MakeIdle) -> None:
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    await service.documents.upload(ADA, "docs", Files({"a.txt": "one"}, {"year": 2024}))
    again = await service.documents.upload(ADA, "docs", Files({"a.txt": "one"}, {"year": 2025}))
    assert again.files[0].outcome == "queued"
    assert again.files[0].document.metadata == {"year": 2025}


async def test_a_copy_under_another_name_points_at_the_first(idle: MakeIdle) -> None:
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    upload = await service.documents.upload(ADA, "docs", Files({"a.txt": "one", "b.txt": "one"}))
    first, copy = upload.files
    assert (copy.outcome, copy.document.duplicate_of) == ("duplicate", first.document.id)
    assert service.kept() == [b"one"]
    await service.documents.delete(ADA, "docs", first.document.id)
    heir = await service.documents.get(ADA, "docs", copy.document.id)
    assert (heir.duplicate_of, heir.state, service.kept()) == (None, "queued", [b"one"])
    await service.documents.delete(ADA, "docs", copy.document.id)
    assert service.kept() == []
    assert service.worker.unindexed == [first.document.id, copy.document.id]


async def test_a_new_version_keeps_its_identity_and_the_old_content_goes(idle: MakeIdle) -> None:
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    old = await service.documents.upload(ADA, "docs", Files({"a.txt": "old"}))
    new = await service.documents.upload(ADA, "docs", Files({"a.txt": "new"}))
    assert new.files[0].document.id == old.files[0].document.id
    assert service.worker.interrupted == [old.files[0].document.id]
    assert service.kept() == [b"new"]


async def test_a_version_with_the_content_of_another_document_becomes_its_copy(idle: MakeIdle) -> None:
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    upload = await service.documents.upload(ADA, "docs", Files({"a.txt": "one", "b.txt": "two", "c.txt": "two"}))
    again = await service.documents.upload(ADA, "docs", Files({"b.txt": "one"}))
    documents, _ = await service.documents.page(ADA, "docs", limit=10, after=None, state=None)
    by_name = {one.name: one for one in documents}
    assert again.files[0].outcome == "duplicate"
    assert by_name["b.txt"].duplicate_of == upload.files[0].document.id
    assert by_name["c.txt"].duplicate_of is None, "it is indexed for itself now"


async def test_too_much_is_refused_and_leaves_nothing(idle: MakeIdle) -> None:
    service = idle(file_bytes=10, files=2, owner_bytes=25, owner_files=3)
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    refused: list[tuple[dict[str, str], type[TwinportError]]] = [
        ({"a": "x" * 11}, PayloadTooLarge),
        ({"a": "1", "b": "2", "c": "3"}, PayloadTooLarge),
        ({}, InvalidRequest),
    ]
    for files, error in refused:
        with pytest.raises(error):
            await service.documents.upload(ADA, "docs", Files(files))
    await service.documents.upload(ADA, "docs", Files({"a": "x" * 10, "b": "y" * 10}))
    with pytest.raises(QuotaExceeded, match="RAG_OWNER_MAX_MB"):
        await service.documents.upload(ADA, "docs", Files({"c": "z" * 6}))
    await service.documents.upload(ADA, "docs", Files({"c": "z" * 5}))
    with pytest.raises(QuotaExceeded, match="RAG_OWNER_MAX_FILES"):
        await service.documents.upload(ADA, "docs", Files({"d": ""}))
    assert service.kept() == [b"x" * 10, b"y" * 10, b"z" * 5]
    await service.collections.create(BOB, "his")
    await service.documents.upload(BOB, "his", Files({"a": "x" * 10}))


async def test_shares_of_the_disk_are_exact_under_fifty_uploads_at_once(idle: MakeIdle) -> None:
    service = idle(owner_bytes=1000, owner_files=1000)
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    uploads = [service.documents.upload(ADA, "docs", Files({f"{number}": f"{number:050}"})) for number in range(50)]
    results = await asyncio.gather(*uploads, return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 20
    assert all(isinstance(result, QuotaExceeded) for result in results if isinstance(result, BaseException))
    assert sum(map(len, service.kept())) == 1000


async def test_a_replaced_or_removed_document_gives_its_share_back(idle: MakeIdle) -> None:
    service = idle(owner_bytes=10)
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    upload = await service.documents.upload(ADA, "docs", Files({"a": "x" * 9}))
    await service.documents.upload(ADA, "docs", Files({"a": "y"}))
    await service.documents.upload(ADA, "docs", Files({"b": "z" * 9}))
    await service.documents.delete(ADA, "docs", upload.files[0].document.id)
    await service.documents.upload(ADA, "docs", Files({"c": "w"}))


async def test_only_those_who_may_write_upload_and_remove(idle: MakeIdle) -> None:
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    upload = await service.documents.upload(ADA, "docs", Files({"a": "one"}))
    document_id = upload.files[0].document.id
    for call in (
        lambda: service.documents.upload(BOB, "docs", Files({"b": "two"})),
        lambda: service.documents.get(BOB, upload.files[0].document.collection_id, document_id),
        lambda: service.documents.delete(BOB, upload.files[0].document.collection_id, document_id),
    ):
        with pytest.raises(NotFound):
            await call()
    await service.collections.share(ADA, "docs", Grant("bob", "reader"))
    assert (await service.documents.get(BOB, "docs", document_id)).name == "a"
    for call in (
        lambda: service.documents.upload(BOB, "docs", Files({"b": "two"})),
        lambda: service.documents.delete(BOB, "docs", document_id),
        lambda: service.documents.cancel(BOB, "docs", document_id),
        lambda: service.documents.retry(BOB, "docs", document_id),
    ):
        with pytest.raises(PermissionDenied):
            await call()
    assert service.kept() == [b"one"]


async def test_a_document_of_another_collection_is_not_there(idle: MakeIdle) -> None:
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    await service.collections.create(ADA, "others")
    document = (await service.documents.upload(ADA, "docs", Files({"a": "one"}))).files[0].document
    for identity in (document.id, "doc_" + "0" * 32, "' OR 1=1 --", "\u0001" + document.id):
        with pytest.raises(NotFound):
            await service.documents.get(ADA, "others", identity)
    assert await service.documents.page(ADA, "others", limit=10, after=document.id, state=None) == ([], False)


async def test_only_what_failed_or_was_cancelled_is_tried_again(idle: MakeIdle) -> None:
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    document = (await service.documents.upload(ADA, "docs", Files({"a": "one"}))).files[0].document
    with pytest.raises(Conflict, match="queued"):
        await service.documents.retry(ADA, "docs", document.id)
    assert (await service.documents.cancel(ADA, "docs", document.id)).state == "cancelled"
    assert (await service.documents.retry(ADA, "docs", document.id)).state == "queued"


async def test_pages_go_from_the_newest_to_the_oldest(idle: MakeIdle) -> None:
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    for batch in range(3):
        await service.documents.upload(
            ADA, "docs", Files({f"{batch}-{number}": f"{batch} {number}" for number in range(4)})
        )
    seen: list[str] = []
    after: str | None = None
    while True:
        documents, more = await service.documents.page(ADA, "docs", limit=5, after=after, state="queued")
        seen += [one.name for one in documents]
        if not more:
            break
        after = documents[-1].id
    assert len(seen) == len(set(seen)) == 12
    assert [name[0] for name in seen] == ["2"] * 4 + ["1"] * 4 + ["0"] * 4


async def test_what_a_crash_left_is_cleared_away(idle: MakeIdle, tmp_path: Path) -> None:
    service = idle()
    await service.documents.open()
    collection = (await service.collections.create(ADA, "docs")).collection
    upload = await service.documents.upload(ADA, "docs", Files({"a": "one", "b": "two"}))
    document_id = upload.files[0].document.id

    async def killed(_collection_id: str, _document_ids: list[str]) -> None:
        raise RuntimeError("killed")

    service.worker.unindex = killed  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(RuntimeError):
        await service.documents.delete(ADA, "docs", document_id)
    with pytest.raises(NotFound):
        await service.documents.get(ADA, "docs", document_id)
    (service.originals / ".drafts" / "draft").write_bytes(b"half a file")
    (service.originals / collection.id / "0123").write_bytes(b"of nobody")
    again = idle()
    await again.documents.open()
    await again.documents.aclose()
    assert again.kept() == [b"two"]
    assert again.worker.unindexed == [document_id]


class _OneArchive:
    """Takes `files.zip` apart."""

    def is_archive(self, path: Path) -> bool:
        return path.read_bytes() == b"PK"

    async def members(self, path: Path, name: str) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        for inside in ("a.txt", "../b/c.txt"):
            yield f"{name.removesuffix('.zip')}/{inside}", _bytes_of(inside)


class _BrokenArchive(_OneArchive):
    async def members(self, path: Path, name: str) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        yield "inside.txt", _bytes_of("inside")
        raise ArchiveRefused(ParseFailure(code="bomb", message="It unpacks to too much."))


async def test_an_archive_that_is_refused_fails_alone(idle: MakeIdle) -> None:
    service = idle(_BrokenArchive(), owner_bytes=30)
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    upload = await service.documents.upload(ADA, "docs", Files({"files.zip": "PK", "other.txt": "other"}))
    failed, other = upload.files
    assert (failed.outcome, failed.document.state) == ("failed", "failed")
    assert failed.document.error
    assert failed.document.error.code == "bomb"
    assert (other.document.name, other.outcome) == ("other.txt", "queued")
    assert service.kept() == [b"PK", b"other"]
    again = await service.documents.upload(ADA, "docs", Files({"files.zip": "PK", "more.txt": "x" * 13}))
    assert [one.outcome for one in again.files] == ["failed", "queued"]
    await service.documents.upload(ADA, "docs", Files({"last.txt": "y" * 10}))


async def _bytes_of(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


async def test_an_archive_becomes_the_files_in_it(idle: MakeIdle) -> None:
    service = idle(_OneArchive())
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    upload = await service.documents.upload(ADA, "docs", Files({"files.zip": "PK", "other.txt": "other"}))
    assert [one.document.name for one in upload.files] == ["files/a.txt", "files/b/c.txt", "other.txt"]
    assert service.kept() == [b"../b/c.txt", b"a.txt", b"other"]


async def test_a_removal_that_failed_can_be_asked_for_again(idle: MakeIdle) -> None:
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    upload = await service.documents.upload(ADA, "docs", Files({"a.txt": "one"}))
    document_id = upload.files[0].document.id
    service.worker.broken = StorageFull("The disk is full.")
    for _ in range(2):
        with pytest.raises(StorageFull):
            await service.documents.delete(ADA, "docs", document_id)
    service.worker.broken = None
    await service.documents.delete(ADA, "docs", document_id)
    assert (service.worker.unindexed, service.kept()) == ([document_id], [])
    with pytest.raises(NotFound):
        await service.documents.delete(ADA, "docs", document_id)


async def test_a_removal_that_failed_is_tried_again_by_itself(idle: MakeIdle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools_api.rag.documents.removals.AGAIN_S", 0.01)
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    upload = await service.documents.upload(ADA, "docs", Files({"a.txt": "one"}))
    service.worker.broken = OSError(errno.EMFILE, "too many open files")
    with pytest.raises(OSError, match="too many"):
        await service.documents.delete(ADA, "docs", upload.files[0].document.id)
    service.worker.broken = None
    async with asyncio.timeout(30):
        while service.kept():
            await asyncio.sleep(0.01)
    await service.documents.aclose()
    assert service.worker.unindexed == [upload.files[0].document.id]


async def test_a_file_that_is_too_large_fails_alone(idle: MakeIdle) -> None:
    service = idle(file_bytes=10, owner_bytes=25)
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    upload = await service.documents.upload(ADA, "docs", Files({"a": "x" * 10, "large": "z" * 11, "b": "y" * 10}))
    assert [(one.document.name, one.outcome) for one in upload.files] == [
        ("a", "queued"),
        ("large", "failed"),
        ("b", "queued"),
    ]
    failed = upload.files[1].document
    assert failed.error
    assert failed.error.code == "too_large"
    assert service.kept() == [b"x" * 10, b"y" * 10]
    with pytest.raises(PayloadTooLarge, match="RAG_MAX_FILE_MB"):
        await service.documents.upload(ADA, "docs", Files({"c": "", "without end": "z" * 26}))
    await service.documents.upload(ADA, "docs", Files({"d": "last5"}))


class _HalfArchive(_OneArchive):
    async def members(self, path: Path, name: str) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        yield "bad.txt", _broken_bytes()
        yield "good.txt", _bytes_of("good")


async def _broken_bytes() -> AsyncIterator[bytes]:
    yield b"half of it"
    raise MemberRefused(ParseFailure(code="broken", message="It is damaged."))


async def test_a_broken_file_of_an_archive_fails_alone(idle: MakeIdle) -> None:
    service = idle(_HalfArchive(), owner_bytes=14)
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    upload = await service.documents.upload(ADA, "docs", Files({"files.zip": "PK"}))
    assert [(one.document.name, one.outcome) for one in upload.files] == [("bad.txt", "failed"), ("good.txt", "queued")]
    assert service.kept() == [b"good"]
    await service.documents.upload(ADA, "docs", Files({"rest.txt": "x" * 10}))


async def test_a_copy_with_other_metadata_is_indexed_for_itself(idle: MakeIdle) -> None:
    service = idle()
    await service.documents.open()
    await service.collections.create(ADA, "docs")
    await service.documents.upload(ADA, "docs", Files({"a.txt": "one", "b.txt": "one"}, {"year": 2024}))
    other = await service.documents.upload(ADA, "docs", Files({"c.txt": "one"}, {"year": 2025}))
    assert (other.files[0].outcome, other.files[0].document.duplicate_of) == ("queued", None)
    moved = await service.documents.upload(ADA, "docs", Files({"a.txt": "one"}, {"year": 2025}))
    assert moved.files[0].document.duplicate_of == other.files[0].document.id
    documents, _ = await service.documents.page(ADA, "docs", limit=10, after=None, state="queued")
    assert {one.name: (one.duplicate_of is None, one.metadata) for one in documents} == {
        "a.txt": (False, {"year": 2025}),
        "b.txt": (True, {"year": 2024}),
        "c.txt": (True, {"year": 2025}),
    }
    assert service.kept() == [b"one"]
