"""The same attacks, with the service as an ordinary user instead of root."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.tools_api.sandbox.conftest import need_bubblewrap
from tools_api.sandbox.host_user import Root
from tools_api.sandbox.outcome import ReadOnlyTree

REPOSITORY = Path(__file__).parents[3]
HERE = "tests/tools_api/sandbox"


@pytest.mark.sandbox
@pytest.mark.slow
@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="then all other tests are an ordinary user's already"
)
async def test_the_same_attacks_fail_when_the_service_is_an_ordinary_user() -> None:
    """The interpreter and the packages are staged where that user may read them, as root's sandboxes do it."""
    need_bubblewrap()
    root = Root()
    sources = [Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), REPOSITORY]
    entry = await root.enter([ReadOnlyTree(source, "") for source in sources])
    prefix, venv, repository = (tree.source for tree in entry.trees)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    process = await asyncio.create_subprocess_exec(
        *entry.argv,
        str(prefix / "bin" / f"python{version}"),
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(repository)),
        *(f"{repository}/{HERE}/test_{name}.py" for name in ("attacks_on_files", "attacks_on_the_network")),
        *(f"{repository}/{HERE}/test_{name}.py" for name in ("attacks_on_processes", "attacks_on_the_kernel")),
        *(f"{repository}/{HERE}/test_{name}.py" for name in ("attacks_on_resources", "outputs", "fail_closed")),
        cwd=repository if repository == REPOSITORY else "/",
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": "/tmp",
            "LD_LIBRARY_PATH": str(prefix / "lib"),
            "PYTHONPATH": f"{repository}:{venv}/lib/python{version}/site-packages",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 150)
    finally:
        if process.returncode is None:
            process.kill()
        root.close()
    text = said.decode()
    assert process.returncode == 0, text[-6000:]
    passed = re.search(r"(\d+) passed", text)
    assert passed is not None
    assert int(passed[1]) > 100, text
    assert "skipped" not in text, text
