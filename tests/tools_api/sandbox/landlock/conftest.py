"""One real sandbox of this level for all tests of a worker."""

import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.tools_api.sandbox.conftest import LIMITS, Attacker
from tools_api.sandbox import Interpreter, Sandbox, SandboxOptions, describe
from tools_api.sandbox.host_user import open_to_all
from tools_api.sandbox.interpreter import own_interpreter
from tools_api.sandbox.landlock import LandlockSeccomp
from tools_api.sandbox.landlock.kernel import landlock_abi

REPOSITORY = Path(__file__).parents[4]


def usable_interpreter() -> Interpreter:
    """Return one that the runs may read: for root's that is the system's, if ours lies in a home. Skips without one."""
    own = own_interpreter()
    if os.geteuid() != 0 or all(open_to_all(tree.source) for tree in own.trees):
        return own
    system = Path("/usr/bin/python3").resolve()
    if not system.is_file():
        pytest.skip("root's runs can't read this Python, and there is no other")
    return describe(prefix=Path("/usr"), executable=system, version=system.name.removeprefix("python"))


def need_landlock() -> None:
    """Skip where there is none that does; where there is one, a level that fails is a failure."""
    if sys.platform != "linux" or landlock_abi() == 0 or (os.geteuid() != 0 and landlock_abi() < 6):
        pytest.skip("this kernel's Landlock is too old: the level says so and is not used")
    if os.geteuid() == 0 and not open_to_all(REPOSITORY):
        pytest.skip("root's runs can't read this folder")


def level(**options: int) -> LandlockSeccomp:
    return LandlockSeccomp(interpreter=usable_interpreter(), most=LIMITS, **options)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def confined() -> AsyncGenerator[Attacker]:
    need_landlock()
    sandbox = Sandbox(SandboxOptions(limits=LIMITS), levels=[level()])
    await sandbox.start()
    assert sandbox.report.level == "landlock-seccomp", sandbox.report
    yield Attacker(sandbox)
    await sandbox.aclose()
