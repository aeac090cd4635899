"""One real sandbox for all tests of a worker, and one without control groups."""

import shutil
import sys
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio

from tools_api.sandbox import Job, Limits, Outcome, ReadOnlyTree, Sandbox, SandboxFile, SandboxOptions

ATTACK = ReadOnlyTree(Path(__file__).with_name("attack_inside.py"), "/opt/attack.py")
LIMITS = Limits(wall_s=10, cpu_s=10, memory_bytes=512 << 20)


@dataclass(frozen=True)
class Attacker:
    """Runs attacks in a sandbox."""

    sandbox: Sandbox

    async def attempt(self, code: str) -> str:
        """Return what the attack says: `said`, or `refused …` if it raised."""
        outcome = await self.run(code)
        assert outcome.report, (outcome, "the attack said nothing")
        return outcome.report.decode()

    async def run(self, code: str, *, limits: Limits = LIMITS, files: tuple[SandboxFile, ...] = ()) -> Outcome:
        return await self.sandbox.run(self.job(code, limits=limits, files=files))

    def job(self, code: str, *, limits: Limits = LIMITS, files: tuple[SandboxFile, ...] = ()) -> Job:
        return Job(script=ATTACK.target, payload=code.encode(), trees=(ATTACK,), limits=limits, files=files)


def need_bubblewrap() -> None:
    """Skip where there can be no sandbox; where there can, a test that finds none must fail."""
    if sys.platform != "linux" or shutil.which("bwrap") is None:
        pytest.skip("no bubblewrap: test_fail_closed.py shows that nothing runs then")


async def _attacker(options: SandboxOptions) -> AsyncGenerator[Attacker]:
    need_bubblewrap()
    sandbox = Sandbox(options)
    await sandbox.start()
    assert sandbox.report.available, sandbox.report
    yield Attacker(sandbox)
    await sandbox.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def attacker() -> AsyncGenerator[Attacker]:
    async for attacker in _attacker(SandboxOptions(limits=LIMITS)):
        yield attacker


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def watched() -> AsyncGenerator[Attacker]:
    """An attacker whose memory in sum only the watchdog limits, as where control groups can't be written."""
    async for attacker in _attacker(SandboxOptions(limits=LIMITS, use_cgroups=False)):
        yield attacker


@pytest.fixture
def open_folder() -> Generator[Path]:
    """A folder of the host that every user may enter, so that only the sandbox protects what is in it."""
    with TemporaryDirectory(prefix="twinport-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
