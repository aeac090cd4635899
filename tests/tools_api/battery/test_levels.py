"""Which level a whole server uses, as the operator's list and the machine have it, and what it says of that."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.tools_api.accounts import own_account
from tests.tools_api.battery.planted import MakeFolder
from tests.tools_api.battery.server import KEY, Server, running
from tests.tools_api.battery.test_faults import BARE
from tests.tools_api.fake_bwrap import EXPAND
from tests.tools_api.sandbox.wasi.conftest import artefact

__all__ = ["artefact"]  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("artefact")]


@asynccontextmanager
async def _without_bubblewrap(folder: Path, levels: str) -> AsyncGenerator[Server]:
    async with running(own_account(), folder, PATH=str(folder), SANDBOX_LEVELS=levels) as server:
        yield server


async def test_the_next_level_of_the_list_is_used_and_health_says_why(open_folder: MakeFolder) -> None:
    async with _without_bubblewrap(open_folder(), "ns-seccomp,wasi") as server:
        assert await server.said("import sys; print(sys.platform, 6 * 7)") == "wasi 42"
        health = await server.health()
        assert (health["status"], health["sandbox"]) == ("ok", "wasi")
        assert health["sandbox_passed_over"] == {"ns-seccomp": "missing"}
        checked = next(line for line in server.log().splitlines() if "sandbox_checked" in line)
        assert '"sandbox_level":"wasi"' in checked.replace(": ", ":")
        assert "bubblewrap is not installed" in checked
        async with server.client.get(f"{server.url}/v1/tools", headers={"X-API-Key": KEY}) as answer:
            described = await answer.text()
        assert "Python 3.14" in described
        assert "numpy" not in described


async def test_a_level_whose_self_test_fails_is_left_for_the_next(open_folder: MakeFolder) -> None:
    folder = open_folder()
    (folder / "bwrap").write_text(BARE.format(marker=folder / "probed", expand=EXPAND))
    (folder / "bwrap").chmod(0o755)
    path = f"{folder}:/usr/bin:/bin"
    async with running(own_account(), folder, PATH=path, SANDBOX_LEVELS="ns-seccomp,wasi") as server:
        assert (await server.health())["sandbox"] == "wasi", server.log()
        assert set((await server.health())["sandbox_passed_over"]) == {"ns-seccomp"}
        probed = (folder / "probed").read_text()
        assert await server.said("import sys; print(sys.platform)") == "wasi"
        assert (folder / "probed").read_text() == probed, "the call started the bare one"


async def test_a_level_that_works_but_is_not_on_the_list_is_never_used(open_folder: MakeFolder) -> None:
    async with _without_bubblewrap(open_folder(), "ns-seccomp") as server:
        attempt = await server.run("open('ran', 'w')", workspace="refused")
        assert (attempt.status, attempt.result["error"]["code"]) == (503, "sandbox_unavailable")
        health = await server.health()
        assert (health["sandbox"], health["sandbox_passed_over"]) == ("off", {"ns-seccomp": "missing"})
        assert not list((server.folder / "data").rglob("ran"))


async def test_a_stopped_server_leaves_no_folder_of_runs(open_folder: MakeFolder) -> None:
    folder = open_folder()
    async with _without_bubblewrap(folder, "wasi") as server:
        assert await server.said("print(1)") == "1"
        assert list((folder / "tmp").glob("twinport-wasi-*"))
    assert not list((folder / "tmp").glob("twinport-wasi-*"))
