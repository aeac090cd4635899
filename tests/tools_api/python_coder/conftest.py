"""A real `python_coder` on a real sandbox, with the data packages where the set-up has installed them."""

import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.tools_api.sandbox.conftest import need_bubblewrap
from tools_api.invoke.tool import ToolCall, ToolOutput
from tools_api.python_coder import PythonCoder, PythonCoderOptions
from tools_api.sandbox import Limits, Sandbox, SandboxOptions, SessionOptions

PACKAGES = Path(sys.prefix) / "sandbox-packages"


@dataclass
class Caller:
    """Calls the tool as the boundary does."""

    tool: PythonCoder
    workspace: Path
    caller: str = "test"
    workspace_name: str | None = None

    async def __call__(self, code: str, *, timeout_s: float = 30, **arguments: object) -> ToolOutput:
        call = ToolCall(
            arguments={"code": code, **arguments},
            workspace=self.workspace,
            workspace_name=self.workspace_name,
            timeout_s=timeout_s,
            caller=self.caller,
        )
        return await self.tool.run(call)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tool() -> AsyncGenerator[PythonCoder]:
    need_bubblewrap()
    limits = Limits(wall_s=20, cpu_s=20, memory_bytes=512 << 20)
    sessions = SessionOptions(most=4, most_of_owner=2, interrupt_s=10)  # a busy machine is slow to stop, not unwilling
    sandbox = Sandbox(SandboxOptions(limits=limits, sessions=sessions))
    await sandbox.start()
    assert sandbox.report.available, sandbox.report
    yield PythonCoder(sandbox, PythonCoderOptions(packages=PACKAGES, workspace_bytes=1 << 20))
    await sandbox.aclose()


@pytest.fixture
def run(tool: PythonCoder, tmp_path: Path) -> Caller:
    return Caller(tool, tmp_path)
