"""Under whose name a process of a test runs: ours, or one without privileges although the tests run as root."""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tools_api.sandbox.host_user import SANDBOX_UID, Root
from tools_api.sandbox.outcome import ReadOnlyTree

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Account:
    """How to start our Python under a uid: `argv` then takes its arguments."""

    uid: int
    argv: tuple[str, ...]
    env: dict[str, str]
    repository: Path
    """Where that Python finds our code, which need not be where we do."""

    @property
    def cwd(self) -> Path:
        return REPOSITORY if self.repository == REPOSITORY else Path("/")


def own_account() -> Account:
    """Return the one that runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return Account(os.geteuid(), (sys.executable,), kept, REPOSITORY)


@asynccontextmanager
async def ordinary_account() -> AsyncGenerator[Account]:
    """Yield one without privileges: the tests' own, or for root the uid under which its sandboxes run too.

    Interpreter, packages and code are staged where that uid may read them, as root's sandboxes do it.
    """
    if os.geteuid() != 0:
        yield own_account()
        return
    root = Root()
    sources = [Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), REPOSITORY]
    entry = await root.enter([ReadOnlyTree(source, "") for source in sources])
    try:
        yield _staged(entry.argv, *(tree.source for tree in entry.trees))
    finally:
        root.close()


def _staged(argv: tuple[str, ...], prefix: Path, venv: Path, repository: Path) -> Account:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "LD_LIBRARY_PATH": str(prefix / "lib"),
        "PYTHONPATH": f"{repository}:{venv}/lib/{version}/site-packages",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return Account(SANDBOX_UID, (*argv, str(prefix / "bin" / version)), env, repository)
