"""When the sandbox can't hold, or its service is killed: nothing runs bare, and nothing is left behind."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.tools_api.accounts import Account
from tests.tools_api.battery.planted import MakeFolder
from tests.tools_api.battery.server import SLEEP, Server, running
from tests.tools_api.fake_bwrap import EXPAND
from tests.tools_api.marked import PATIENCE_S, new_marker, until_alive, until_gone

pytestmark = [pytest.mark.slow, pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

BARE = '#!/bin/bash\necho ran >>{marker}\n{expand}\nuntil [ "$1" = -- ]; do shift; done\nshift\nexec "$@"\n'
WITHOUT_FILTER = """#!/bin/bash
echo ran >>{marker}
{expand}
for arg do shift; case $arg in --seccomp) set -- "$@" --setenv A ;; *) set -- "$@" "$arg" ;; esac; done
exec /usr/bin/bwrap "$@"
"""
NO_NAMESPACES = """
import errno, pyseccomp, runpy, sys
rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
rules.add_rule(pyseccomp.ERRNO(errno.EPERM), "unshare")
rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
rules.add_rule(pyseccomp.ERRNO(errno.EPERM), "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, 0x10000000, 0x10000000))
rules.load()
sys.argv = ["tools_api"]
runpy.run_module("tools_api", run_name="__main__")
"""


async def _refuses(server: Server) -> None:
    """It says 503 at once, in words, and says so in its health; a second of its processor time, on any machine."""
    worked = sum(server.process.cpu_times()[:4])
    attempt = await server.run("open('ran', 'w')", workspace="refused")
    assert sum(server.process.cpu_times()[:4]) - worked < 1
    assert (attempt.status, attempt.result["error"]["code"]) == (503, "sandbox_unavailable")
    assert (await server.health())["sandbox"] == "off"
    assert not list((server.folder / "data").rglob("ran"))


async def test_without_bubblewrap_nothing_runs(account: Account, open_folder: MakeFolder) -> None:
    folder = open_folder()
    async with running(account, folder, PATH=str(folder)) as server:
        await _refuses(server)


async def test_without_namespaces_nothing_runs(account: Account, open_folder: MakeFolder) -> None:
    """As in a default container: an outer filter refuses new user and mount namespaces."""
    async with running(account, open_folder(), before=("-c", NO_NAMESPACES)) as server:
        await _refuses(server)


@pytest.mark.parametrize("script", [BARE, WITHOUT_FILTER], ids=["bare", "without-filter"])
async def test_a_sandbox_with_a_hole_fails_its_self_test_and_nothing_runs(
    account: Account, open_folder: MakeFolder, script: str
) -> None:
    folder = open_folder()
    (folder / "bwrap").write_text(script.format(marker=folder / "probed", expand=EXPAND))
    (folder / "bwrap").chmod(0o755)
    async with running(account, folder, PATH=f"{folder}:/usr/bin:/bin") as server:
        probed = (folder / "probed").read_text()
        await _refuses(server)
        assert (folder / "probed").read_text() == probed, "the call started it too"


async def test_an_empty_list_of_levels_is_off(account: Account, open_folder: MakeFolder) -> None:
    async with running(account, open_folder(), SANDBOX_LEVELS=",") as server:
        await _refuses(server)


@pytest.mark.usefixtures("healthy_afterwards")
@pytest.mark.parametrize(
    "body",
    [
        {"arguments": {"code": "print('ra' + 'n')", "network": True}},
        {"arguments": {"code": "print('ra' + 'n')", "level": "off"}},
        {"arguments": {"code": "print('ra' + 'n')"}, "sandbox": False},
        {"arguments": {"code": "print('ra' + 'n')"}, "levels": []},
        {"arguments": {"code": "print('ra' + 'n')", "timeout": 10_000}},
    ],
    ids=["network", "level", "sandbox", "levels", "timeout"],
)
async def test_no_field_of_a_request_relaxes_the_sandbox(server: Server, body: object) -> None:
    async with server.call(body) as answer:
        text = await answer.text()
    assert "ran" not in text
    assert answer.status >= 400 or '"ok":false' in text, text


async def test_a_killed_service_leaves_no_process_and_starts_again(account: Account, open_folder: MakeFolder) -> None:
    folder = open_folder()
    marker = new_marker()
    async with running(account, folder) as server:
        runs = [asyncio.create_task(server.run(SLEEP.format(marker=marker))) for _ in range(20)]
        await until_alive(marker, count=7)  # as many of one caller as run at once
        killed = server.process.pid
        server.process.kill()
        await asyncio.gather(*runs, return_exceptions=True)
    await until_gone(marker)
    async with running(account, folder) as server:
        assert await server.said("print('again')") == "again"
    assert list((folder / "tmp").iterdir()) == []
    assert not list(Path("/sys/fs/cgroup").glob(f"**/twinport-sandbox-{killed}-*"))


@pytest.mark.long
@pytest.mark.usefixtures("healthy_afterwards")
async def test_a_thousand_runs_leave_nothing_behind(server: Server) -> None:
    """An ordinary user's server makes no control groups and mounts, so a quarter of them will do."""
    await _runs(server, 100)
    before = await _settled(server)
    resident = server.process.memory_info().rss
    await _runs(server, 1000 if server.account.uid == 0 else 250)
    deadline = time.monotonic() + PATIENCE_S
    while grown := {name: count for name, count in _held(server).items() if count > before[name]}:
        assert time.monotonic() < deadline, grown
        await asyncio.sleep(0.1)
    assert server.process.memory_info().rss - resident < 30 << 20


async def _settled(server: Server) -> dict[str, int]:
    """Return what it holds once all sandboxes that wait for the next runs have been made again."""
    held: dict[str, int] = {}
    while held != (now := _held(server)):
        held = now
        await asyncio.sleep(1)
    return held


async def _runs(server: Server, count: int) -> None:
    """Eight at a time, which is what the service does."""

    async def some(first: int) -> None:
        for number in range(first, count, 8):
            assert await server.said(f"print({number})") == str(number)

    await asyncio.gather(*map(some, range(8)))


def _control_groups(pid: int) -> int:
    """Count those of runs; one may go while they are counted."""
    folders = Path("/sys/fs/cgroup").glob(f"*/twinport-sandbox-{pid}-*")
    return sum(entry.startswith("run-") for folder in folders for entry in os.listdir(folder))  # noqa: PTH208


def _held(server: Server) -> dict[str, int]:
    proc = Path(f"/proc/{server.process.pid}")
    return {
        "descriptors": len(list((proc / "fd").iterdir())),
        "processes": len(server.process.children(recursive=True)),  # zombies included
        "mounts": len((proc / "mounts").read_text().splitlines()),
        "control groups": _control_groups(server.process.pid),
        "temporary files": len(list((server.folder / "tmp").iterdir())),
        "workspaces": len(list((server.folder / "data" / "scratch").rglob(".call-*"))),
    }
