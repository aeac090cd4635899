"""What needs the inside of the module, with the service as an ordinary user instead of root."""

import asyncio
import os
import re

import pytest

from tests.tools_api.accounts import ordinary_account
from tests.tools_api.sandbox.conftest import need_bubblewrap

HERE = "tests/tools_api/sandbox"
FILES = ("test_outputs", "test_fail_closed", "test_watchdog", "warm/test_isolation", "warm/test_pool")
SESSIONS = "tests/tools_api/python_coder/test_session_attacks.py"


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
            *(f"{repository}/{HERE}/{name}.py" for name in FILES),
            f"{repository}/{SESSIONS}",
            cwd=account.cwd,
            env=account.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), 900)
        finally:
            if process.returncode is None:
                process.kill()
    text = said.decode()
    assert process.returncode == 0, text[-6000:]
    passed = re.search(r"(\d+) passed", text)
    assert passed is not None
    assert int(passed[1]) > 30, text
    assert "skipped" not in text, text
