"""A disk that is full: what comes is refused with 507, what has come waits, and goes on when there is room."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools_api.rag.faults.server import ToolsServer, small_files, word, words_in

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

_FILES = 30


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data folder on a disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a disk")
    folder = tmp_path / "data"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", folder], check=False)
    if mounted.returncode != 0:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _fill(folder: Path) -> Path:
    """Take all the room that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 65_536) == 65_536:
                pass
        except OSError:
            pass
    return ballast


async def test_a_full_disk_is_507_and_work_goes_on_when_there_is_room(tmp_path: Path, small_disk: Path) -> None:
    async with ToolsServer(tmp_path, {"RAG_ENCODER_PRELOAD": "true"}) as server:
        await server.collection()
        status, upload = await server.upload(small_files(_FILES))
        assert status == 202
        ballast = await asyncio.to_thread(_fill, small_disk)
        status, refused = await server.upload({"more.txt": b"x" * 2_000_000})
        assert (status, refused["error"]["code"]) == (507, "insufficient_storage")
        async with asyncio.timeout(180):
            while (job := await server.job(upload["job"]))["note"] is None:
                assert job["state"] in {"queued", "running"}
                await asyncio.sleep(0.2)
        assert "disk" in job["note"]
        assert len(await server.documents()) == _FILES, "reading goes on"
        ballast.unlink()
        job = await server.finished(upload["job"])
        assert job["documents"]["indexed"] == _FILES
        status, more = await server.upload({"more.txt": b"There is room again."})
        assert status == 202
        await server.finished(more["job"])
        assert words_in(await server.passages()) == [word(index) for index in range(_FILES)]
