"""The same, with the service as an ordinary user instead of root: runs share its uid, and Landlock keeps them apart."""

import asyncio
import os
import re

import pytest

from tests.tools_api.accounts import ordinary_account
from tools_api.sandbox.landlock.kernel import SIGNALS_SINCE, landlock_abi

HERE = "tests/tools_api/sandbox/landlock"


@pytest.mark.sandbox
@pytest.mark.long
@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="then all other tests are an ordinary user's already"
)
@pytest.mark.skipif(
    landlock_abi() < SIGNALS_SINCE, reason="an ordinary user needs a newer kernel, and the level says so"
)
async def test_the_same_holds_when_the_service_is_an_ordinary_user() -> None:
    async with ordinary_account() as account:
        repository = account.repository
        process = await asyncio.create_subprocess_exec(
            *account.argv,
            *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(repository)),
            *(f"{repository}/{HERE}/test_{name}.py" for name in ("attacks", "runs")),
            f"{repository}/tests/tools_api/runner/test_runs.py::test_a_runner_without_namespaces_uses_landlock",
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
    passed = re.search(r"(\d+) passed", text)
    assert passed is not None
    assert int(passed[1]) > 50, text
    assert "skipped" not in text, text
