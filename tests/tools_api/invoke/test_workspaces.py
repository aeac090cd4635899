"""The folders that tools work in."""

import asyncio
import os
import stat
import time
from pathlib import Path

import pytest

from shared.errors import StorageFull
from tools_api.invoke.workspaces import Workspaces


def make(root: Path, *, max_bytes: int = 1000, total_bytes: int = 10_000, ttl_s: float = 60) -> Workspaces:
    return Workspaces(root, max_bytes=max_bytes, total_bytes=total_bytes, ttl_s=ttl_s)


async def test_a_named_workspace_lives_on_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    workspaces = make(tmp_path)
    async with workspaces.lease("main_api", "s1") as folder:
        (folder / "a.txt").write_text("kept")
        mode = stat.S_IMODE(folder.stat().st_mode)

    async with workspaces.lease("main_api", "s1") as again:
        assert (again / "a.txt").read_text() == "kept"
    assert folder == tmp_path / "main_api" / "s1"
    assert mode == 0o700


async def test_the_same_name_of_another_service_is_another_folder(tmp_path: Path) -> None:
    workspaces = make(tmp_path)

    async with workspaces.lease("a", "s1") as first, workspaces.lease("b", "s1") as second:
        assert first != second


@pytest.mark.parametrize("written", [False, True])
async def test_a_call_without_a_workspace_leaves_nothing(tmp_path: Path, written: bool) -> None:
    async with make(tmp_path).lease("a", None) as folder:
        if written:
            (folder / "sub").mkdir()
            (folder / "sub" / "a.txt").write_text("gone")

    assert not folder.exists()


async def test_a_failing_call_without_a_workspace_leaves_nothing(tmp_path: Path) -> None:
    async def fail() -> None:
        async with make(tmp_path).lease("a", None) as folder:
            (folder / "a.txt").write_text("gone")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()

    assert list((tmp_path / "a").iterdir()) == []


async def test_one_call_at_a_time_uses_a_workspace(tmp_path: Path) -> None:
    workspaces = make(tmp_path)
    order: list[str] = []

    async def use(name: str) -> None:
        async with workspaces.lease("a", "s1"):
            order.append(f"{name} in")
            await asyncio.sleep(0.01)
            order.append(f"{name} out")

    await asyncio.gather(use("1"), use("2"))

    assert order == ["1 in", "1 out", "2 in", "2 out"]


async def test_a_workspace_that_outgrew_its_size_is_emptied(tmp_path: Path) -> None:
    workspaces = make(tmp_path, max_bytes=10)
    async with workspaces.lease("a", "s1") as folder:
        (folder / "big").write_bytes(b"x" * 11)

    assert list(folder.iterdir()) == []


async def test_a_link_out_of_the_workspace_is_neither_counted_nor_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(b"x" * 100)
    workspaces = make(tmp_path / "scratch", max_bytes=90)
    async with workspaces.lease("a", "s1") as folder:
        (folder / "link").symlink_to(outside)
        (folder / "huge").write_bytes(b"x" * 91)

    assert (outside / "big").exists()
    assert list(folder.iterdir()) == []


async def test_sweeping_removes_the_unused_and_keeps_those_in_use(tmp_path: Path) -> None:
    workspaces = make(tmp_path)
    for name in ("old", "new", "used"):
        async with workspaces.lease("a", name):
            pass
    long_ago = time.time() - 61
    os.utime(tmp_path / "a" / "old", (long_ago, long_ago))
    async with workspaces.lease("a", "used"):
        os.utime(tmp_path / "a" / "used", (long_ago, long_ago))

        removed = await workspaces.sweep()

    assert removed == 1
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["new", "used"]


async def test_a_workspace_that_is_asked_for_while_it_is_swept_is_a_fresh_one(tmp_path: Path) -> None:
    workspaces = make(tmp_path, ttl_s=-1)
    async with workspaces.lease("main_api", "old") as folder:
        for number in range(2000):
            (folder / str(number)).touch()
    sweeping = asyncio.create_task(workspaces.sweep())
    while folder.exists() and len(list(folder.iterdir())) == 2000:
        await asyncio.sleep(0)
    async with workspaces.lease("main_api", "old") as folder:
        assert list(folder.iterdir()) == []
        (folder / "new.txt").touch()
        await sweeping
        assert list(folder.iterdir()) == [folder / "new.txt"]


async def test_sweeping_clears_what_a_crash_left_of_a_throw_away_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / ".call-0123").mkdir(parents=True)

    assert await make(tmp_path).sweep() == 1


async def test_sweeping_frees_the_longest_unused_when_all_together_are_too_large(tmp_path: Path) -> None:
    workspaces = make(tmp_path, max_bytes=100, total_bytes=150)
    for age, name in ((30, "older"), (20, "newer")):
        async with workspaces.lease("a", name) as folder:
            (folder / "data").write_bytes(b"x" * 100)
        then = time.time() - age
        os.utime(folder, (then, then))

    await workspaces.sweep()

    assert [path.name for path in (tmp_path / "a").iterdir()] == ["newer"]


async def test_a_folder_that_cannot_be_made_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("a file where the folder should be")

    with pytest.raises(StorageFull):
        async with make(tmp_path / "scratch").lease("a", "s1"):
            pass
