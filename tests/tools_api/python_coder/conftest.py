"""A real `python_coder` on a real sandbox, with the data packages where the set-up has installed them."""

import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.tools_api.sandbox.conftest import need_bubblewrap
from tools_api.invoke.tool import ToolCall, ToolOutput
from tools_api.python_coder import PythonCoder, PythonCoderOptions
from tools_api.sandbox import Limits, Sandbox, SandboxOptions, SessionOptions

PACKAGES = Path(sys.prefix) / "sandbox-packages"
LIMITS = Limits(wall_s=120, cpu_s=120, memory_bytes=512 << 20)
PATIENT_S = 10.0
"""What interrupted code gets to stop: on a busy machine it is slow, not unwilling."""


@dataclass
class Caller:
    """Calls the tool as the boundary does."""

    tool: PythonCoder
    workspace: Path
    caller: str = "test"
    workspace_name: str | None = None

    async def __call__(self, code: str, *, timeout_s: float = 130, **arguments: object) -> ToolOutput:
        call = ToolCall(
            arguments={"code": code, **arguments},
            workspace=self.workspace,
            workspace_name=self.workspace_name,
            timeout_s=timeout_s,
            caller=self.caller,
        )
        return await self.tool.run(call)


@dataclass
class InSession:
    """Calls the tool with a session's name."""

    caller: Caller
    name: str

    async def __call__(self, code: str, **arguments: object) -> ToolOutput:
        return await self.caller(code, session=self.name, **{"timeout_s": 120, **arguments})  # type: ignore[arg-type]


@asynccontextmanager
async def started(sessions: SessionOptions, **options: Any) -> AsyncGenerator[PythonCoder]:
    """Start a sandbox with a tool on it."""
    need_bubblewrap()
    sandbox = Sandbox(SandboxOptions(limits=LIMITS, sessions=sessions, **options))
    await sandbox.start()
    assert sandbox.report.available, sandbox.report
    try:
        yield PythonCoder(sandbox, PythonCoderOptions(packages=PACKAGES, workspace_bytes=1 << 20))
    finally:
        await sandbox.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tool() -> AsyncGenerator[PythonCoder]:
    async with started(SessionOptions(most=4, most_of_owner=2, interrupt_s=PATIENT_S)) as tool:
        yield tool


@pytest.fixture
def run(tool: PythonCoder, tmp_path: Path) -> Caller:
    return Caller(tool, tmp_path)


@pytest.fixture
def session(run: Caller) -> InSession:
    """A session that is this test's own."""
    return InSession(replace(run, workspace_name=secrets.token_hex(4)), "notes")
