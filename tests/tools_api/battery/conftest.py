"""The two servers that are attacked, one started by root and one by an ordinary user, and what is planted for them.

README.md beside this file says which test makes which attack.
"""

import asyncio
import ctypes
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio

from tests.tools_api.accounts import Account, ordinary_account, own_account
from tests.tools_api.battery.planted import CANARY, MakeFolder, Planted, Unprotected
from tests.tools_api.battery.server import Server, running
from tests.tools_api.marked import PATIENCE_S


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ordinary() -> AsyncGenerator[Account]:
    async with ordinary_account() as account:
        yield account


_AGAIN = [pytest.mark.long] if os.geteuid() == 0 else []


@pytest.fixture(scope="session", params=["root", pytest.param("ordinary-user", marks=_AGAIN)])
def account(request: pytest.FixtureRequest, ordinary: Account) -> Account:
    """Who has started the server. Every attack is made on both."""
    if sys.platform != "linux" or shutil.which("bwrap") is None:
        pytest.skip("no bubblewrap: test_fail_closed.py shows that nothing runs then")
    if request.param == "ordinary-user":
        return ordinary
    if os.geteuid() != 0:
        pytest.skip("the tests are not root's; all servers are an ordinary user's")
    return own_account()


@pytest.fixture(scope="session")
def open_folder() -> Generator[MakeFolder]:
    """Make folders outside of pytest's own, which other users may not enter."""
    with TemporaryDirectory(prefix="twinport-battery-") as name:
        top = Path(name)
        top.chmod(0o755)

        def make() -> Path:
            folder = top / secrets.token_hex(4)
            folder.mkdir()
            folder.chmod(0o777)
            return folder

        yield make


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(account: Account, open_folder: MakeFolder) -> AsyncGenerator[Server]:
    """A server with a secret in its environment, and one behind a descriptor that it got by mistake."""
    folder = open_folder()
    (folder / "behind-a-descriptor").write_text(CANARY)
    with (folder / "behind-a-descriptor").open() as descriptor:
        async with running(account, folder, pass_fds=[descriptor.fileno()], PLANTED_SECRET=CANARY) as server:
            health = await server.health()
            assert health["sandbox"] == "ns-seccomp", (health, server.log())
            await _until_warm(server)
            yield server


async def _until_warm(server: Server) -> None:
    """Wait for the warm path, so that it is attacked; there a run is a child of its namespace's first process."""
    deadline = time.monotonic() + PATIENCE_S
    while await server.said("import os; print(os.getppid())") != "1":
        assert time.monotonic() < deadline, server.log()
        await asyncio.sleep(0.2)


@pytest_asyncio.fixture(loop_scope="session")
async def healthy_afterwards(server: Server) -> AsyncGenerator[None]:
    """After every attack the server answers, runs code, and has told no one's secret."""
    yield
    assert (await server.health())["status"] == "ok"
    assert await server.said("print(6 * 7)") == "42"
    assert CANARY not in server.log()


@pytest.fixture
def planted(open_folder: MakeFolder) -> Planted:
    planted = Planted(open_folder())
    Path(planted.secret).write_text(CANARY)
    Path(planted.secret).chmod(0o644)
    return planted


@pytest.fixture
def unprotected(ordinary: Account) -> Unprotected:
    """Run the same attack without a sandbox, under the uid that sandboxed code has: there it must succeed.

    An attack that does not, because it is written wrong, would prove nothing when it fails in the sandbox.
    """

    async def run(code: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *ordinary.argv,
            *("-c", code),
            env=ordinary.env,
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return (await process.communicate())[0].decode()

    return run


@pytest.fixture
def victim(ordinary: Account) -> Generator[subprocess.Popen[bytes]]:
    """A process of the uid that sandboxed code has, with a secret in its environment."""
    process = subprocess.Popen(
        [*ordinary.argv, "-c", "print('ready', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**ordinary.env, "SECRET": CANARY},
        cwd="/",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def shared_memory_key() -> Generator[int]:
    """The key of a System V segment that every process of the host may attach."""
    libc = ctypes.CDLL(None, use_errno=True)
    key = secrets.randbelow(1 << 30) + 1
    segment = libc.shmget(key, 4096, 0o1666)
    assert segment >= 0
    yield key
    libc.shmctl(segment, 0, None)
