"""The store for files that tools made."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from shared.errors import NotFound, StorageFull
from tools_api.artifacts.store import ArtifactStore
from tools_api.invoke.tool import OutputFile

Open = Callable[..., Awaitable[ArtifactStore]]


@pytest.fixture
def open_store(tmp_path: Path) -> Open:
    async def opened(*, quota_bytes: int = 1000, ttl_s: float = 60) -> ArtifactStore:
        store = ArtifactStore(tmp_path / "artifacts", quota_bytes=quota_bytes, ttl_s=ttl_s)
        await store.open()
        return store

    return opened


def file(content: bytes = b"abc", name: str = "a.txt") -> OutputFile:
    return OutputFile(name=name, media_type="text/plain", content=content)


async def content_of(store: ArtifactStore, caller: str, artifact_id: str) -> bytes:
    artifact = await store.find(caller, artifact_id)
    return b"".join([chunk async for chunk in store.chunks(artifact)])


async def test_what_is_saved_can_be_read_by_its_owner(open_store: Open) -> None:
    store = await open_store(quota_bytes=10**6)
    content = bytes(range(256)) * 2000

    artifact = await store.save("a", file(content))

    assert (artifact.name, artifact.media_type, artifact.size) == ("a.txt", "text/plain", len(content))
    assert await content_of(store, "a", artifact.id) == content


async def test_ids_hold_128_random_bits(open_store: Open) -> None:
    store = await open_store()

    ids = {(await store.save("a", file())).id for _ in range(20)}

    assert len(ids) == 20
    assert all(re.fullmatch(r"art_[0-9a-f]{32}", identity) for identity in ids)


async def test_another_services_artifact_looks_like_none(open_store: Open) -> None:
    store = await open_store()
    artifact = await store.save("a", file())

    with pytest.raises(NotFound) as others:
        await store.find("b", artifact.id)
    with pytest.raises(NotFound) as nobodys:
        await store.find("b", "art_" + "0" * 32)

    assert others.value.message == nobodys.value.message


@pytest.mark.parametrize("identity", ["", "x", "../../secrets/x", "art_../../../x", "art_" + "A" * 32, "art_0\x00"])
async def test_what_is_no_id_is_not_found(open_store: Open, identity: str) -> None:
    with pytest.raises(NotFound):
        await (await open_store()).find("a", identity)


async def test_names_of_files_never_reach_the_disk(open_store: Open, tmp_path: Path) -> None:
    store = await open_store()

    artifact = await store.save("a", file(name="../../../evil.sh"))

    assert artifact.name == "evil.sh"
    assert {path.stem for path in (tmp_path / "artifacts").iterdir()} == {artifact.id}
    assert list(tmp_path.rglob("*evil*")) == []


async def test_files_are_for_the_services_user_alone(open_store: Open, tmp_path: Path) -> None:
    store = await open_store()
    await store.save("a", file())

    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "artifacts").iterdir()} == {0o600}


async def test_parallel_saves_do_not_overshoot_the_quota(open_store: Open) -> None:
    store = await open_store(quota_bytes=100)

    outcomes = await asyncio.gather(*(store.save("a", file(b"x" * 30)) for _ in range(10)), return_exceptions=True)

    assert sum(isinstance(outcome, StorageFull) for outcome in outcomes) == 7


async def test_the_quota_counts_what_was_there_before_a_restart(open_store: Open) -> None:
    await (await open_store()).save("a", file(b"x" * 90))

    store = await open_store(quota_bytes=100)

    with pytest.raises(StorageFull):
        await store.save("a", file(b"x" * 20))


async def test_expired_artifacts_are_gone_at_once_and_swept_later(open_store: Open, tmp_path: Path) -> None:
    store = await open_store(quota_bytes=100, ttl_s=0.01)
    artifact = await store.save("a", file(b"x" * 90))
    await asyncio.sleep(0.02)

    with pytest.raises(NotFound):
        await store.find("a", artifact.id)
    assert await store.sweep() == 1
    assert list((tmp_path / "artifacts").iterdir()) == []
    await store.save("a", file(b"x" * 90))


async def test_what_a_crash_left_half_written_is_cleared(open_store: Open, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    folder.mkdir()
    (folder / ".art_1.bin.tmp").write_bytes(b"half")
    (folder / f"art_{'0' * 32}.bin").write_bytes(b"without a description")
    (folder / f"art_{'1' * 32}.json").write_text("{torn")

    await open_store()

    assert list(folder.iterdir()) == []


async def test_a_disk_that_refuses_is_a_storage_failure_and_frees_the_reserve(open_store: Open, tmp_path: Path) -> None:
    store = await open_store(quota_bytes=100)
    (tmp_path / "artifacts").rmdir()

    with pytest.raises(StorageFull):
        await store.save("a", file(b"x" * 90))

    (tmp_path / "artifacts").mkdir()
    await store.save("a", file(b"x" * 90))
