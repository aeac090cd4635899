"""CPython on WASI, built once beside the virtual environment, and a sandbox that has no other level."""

import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
import pytest_asyncio
from filelock import FileLock

from tools_api.sandbox import Job, Limits, Outcome, ReadOnlyTree, Sandbox, SandboxFile, SandboxOptions
from tools_api.sandbox.wasi.build import build

ARTEFACT = Path(sys.prefix) / "sandbox-wasi"
LIMITS = Limits(wall_s=60, cpu_s=60, memory_bytes=128 << 20, workspace_bytes=8 << 20, scratch_bytes=8 << 20)
_ATTACK = ReadOnlyTree(Path(__file__).parents[1] / "attack_inside.py", "/opt/attack.py")


def need_packages() -> None:
    for name in ("wasmtime", "componentize_py"):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install --require-hashes -r deploy/locks/wasi.lock")


@pytest.fixture(scope="session")
def artefact() -> Path:
    """The interpreter; the first test of the first run builds it, which takes a minute or two."""
    need_packages()
    with FileLock(ARTEFACT.with_name(f"{ARTEFACT.name}.lock")):
        build(ARTEFACT)
    return ARTEFACT


@dataclass(frozen=True)
class Runner:
    """Runs code in instances."""

    sandbox: Sandbox

    async def said(self, code: str, *, limits: Limits = LIMITS) -> str:
        """Return what the code leaves in `said`, or `refused …` if it raised."""
        outcome = await self.run(code, limits=limits)
        assert outcome.report, outcome
        return outcome.report.decode()

    async def run(self, code: str, *, limits: Limits = LIMITS, files: tuple[SandboxFile, ...] = ()) -> Outcome:
        job = Job(script=_ATTACK.target, payload=code.encode(), trees=(_ATTACK,), limits=limits, files=files)
        return await self.sandbox.run(job)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sandbox(artefact: Path) -> AsyncGenerator[Sandbox]:
    sandbox = Sandbox(SandboxOptions(levels=("wasi",), limits=LIMITS, wasi_artefact=artefact))
    await sandbox.start()
    assert sandbox.report.available, sandbox.report
    yield sandbox
    await sandbox.aclose()


@pytest.fixture
def wasi(sandbox: Sandbox) -> Runner:
    return Runner(sandbox)
