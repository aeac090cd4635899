"""The agent's sandbox with the service as an ordinary user instead of root."""

import asyncio
import os

import pytest

from tests.tools_api.accounts import ordinary_account
from tests.tools_api.sandbox.conftest import need_bubblewrap

FILE = "tests/tools_api/nanocoder/test_agent_inside.py"
CHOSEN = "reaches_the_model or key_is_nowhere or no_port_of_the_host or memory_in_sum"


@pytest.mark.sandbox
@pytest.mark.long
@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="then all other tests are an ordinary user's already"
)
async def test_the_same_holds_when_the_service_is_an_ordinary_user() -> None:
    need_bubblewrap()
    async with ordinary_account() as account:
        repository = account.repository
        process = await asyncio.create_subprocess_exec(
            *account.argv,
            *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(repository)),
            *(f"{repository}/{FILE}", "-k", CHOSEN),
            cwd=account.cwd,
            env=account.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), 600)
        finally:
            if process.returncode is None:
                process.kill()
    text = said.decode()
    assert process.returncode == 0, text[-6000:]
    assert "4 passed" in text, text
    assert "skipped" not in text, text
