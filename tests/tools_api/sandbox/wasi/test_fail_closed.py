"""An interpreter that is missing, old, damaged or has a hole is found out, and nothing is run."""

import os
import shutil
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.tools_api.sandbox.wasi.conftest import LIMITS, Runner
from tools_api.sandbox import Sandbox, SandboxOptions, SandboxUnavailable
from tools_api.sandbox.process_tree import descendants
from tools_api.sandbox.wasi import host

pytestmark = pytest.mark.slow

WASI = Path(host.__file__).parent


Changed = Callable[[str, str, str], None]


@pytest.fixture
def changed(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Changed:
    """Let the next server run from a copy of its scripts, with a change in one of them."""

    def change(script: str, line: str, instead: str) -> None:
        only_source = shutil.ignore_patterns("__pycache__")
        shutil.copytree(WASI / "child", open_folder / "wasi" / "child", ignore=only_source)
        shutil.copytree(WASI.parent / "inside", open_folder / "inside", ignore=only_source)
        path = open_folder / "wasi" / "child" / script
        text = path.read_text()
        assert line in text
        path.write_text(text.replace(line, instead))
        monkeypatch.setattr(host, "_SCRIPT", open_folder / "wasi" / "child" / "server.py")

    return change


@asynccontextmanager
async def _started(artefact: Path) -> AsyncGenerator[Sandbox]:
    sandbox = Sandbox(SandboxOptions(levels=("wasi",), limits=LIMITS, wasi_artefact=artefact))
    await sandbox.start()
    try:
        yield sandbox
    finally:
        await sandbox.aclose()


async def _refuses(sandbox: Sandbox, failure: str) -> None:
    assert [item.failure for item in sandbox.report.passed_over] == [failure], sandbox.report
    with pytest.raises(SandboxUnavailable) as raised:
        await Runner(sandbox).run("said = 1")
    assert (raised.value.status, raised.value.code) == (503, "sandbox_unavailable")


async def test_without_the_interpreter_it_says_how_to_build_it(tmp_path: Path) -> None:
    async with _started(tmp_path / "none") as sandbox:
        await _refuses(sandbox, "missing")
        assert f"python -m tools_api.sandbox.wasi build {tmp_path / 'none'}" in (sandbox.report.reason or "")


async def test_one_of_another_version_is_not_used(artefact: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(artefact, tmp_path / "copy"))
    (copy / ".built").write_text("wasmtime 1.0")
    async with _started(copy) as sandbox:
        await _refuses(sandbox, "missing")


async def test_a_damaged_one_is_not_used(artefact: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(artefact, tmp_path / "copy"))
    (copy / "python.cwasm").write_bytes(b"\0asm, or so it says")
    async with _started(copy) as sandbox:
        await _refuses(sandbox, "broken")


HOLES = {
    "secret_unreadable": ("store.set_wasi(wasi)", 'wasi.preopen_dir("/tmp", "/tmp"); store.set_wasi(wasi)'),
    "memory_limited": ("store.set_limits(memory_size=", "(lambda **_: None)(memory_size="),
    "no_environment": ("store.set_wasi(wasi)", 'wasi.env = [("PLANTED", "x")]; store.set_wasi(wasi)'),
}


@pytest.mark.parametrize("check", HOLES)
async def test_one_with_a_hole_fails_its_self_test(artefact: Path, changed: Changed, check: str) -> None:
    changed("instance.py", *HOLES[check])
    async with _started(artefact) as sandbox:
        await _refuses(sandbox, "self_test")
        assert sandbox.report.checks[check] is False, sandbox.report
        assert check in (sandbox.report.reason or "")


async def test_a_server_that_was_killed_is_started_again_by_the_next_run(artefact: Path) -> None:
    before = set(descendants(os.getpid()))
    async with _started(artefact) as sandbox:
        assert sandbox.report.available, sandbox.report
        for pid in set(descendants(os.getpid())) - before:
            os.kill(pid, signal.SIGKILL)
        assert await Runner(sandbox).said("said = 6 * 7") == "42"


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has no such rights")
async def test_no_run_is_started_by_a_server_that_keeps_the_rights_of_root(artefact: Path, changed: Changed) -> None:
    changed("server.py", "    _give_up_rights(uid)\n", "")
    async with _started(artefact) as sandbox:
        await _refuses(sandbox, "broken")
        assert "uid 0" in (sandbox.report.reason or "")
