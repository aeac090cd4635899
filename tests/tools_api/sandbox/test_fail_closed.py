"""Whatever is missing or does not isolate: the sandbox says so in words to act on, and nothing is run."""

import asyncio
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.tools_api.fake_bwrap import EXPAND
from tests.tools_api.sandbox.conftest import need_bubblewrap
from tools_api.sandbox import Job, Sandbox, SandboxOptions, SandboxUnavailable

REPOSITORY = Path(__file__).parents[3]


@asynccontextmanager
async def _started(options: SandboxOptions) -> AsyncGenerator[Sandbox]:
    sandbox = Sandbox(options)
    await sandbox.start()
    try:
        yield sandbox
    finally:
        await sandbox.aclose()


def _fake_bwrap(folder: Path, script: str) -> Path:
    path = folder / "bwrap"
    path.write_text("#!/bin/bash\n" + textwrap.dedent(script))
    path.chmod(0o755)
    return path


def _bwrap_that_changes(folder: Path, *cases: str) -> Path:
    """The real bwrap behind a script that edits some of its arguments."""
    return _fake_bwrap(
        folder,
        EXPAND
        + "for arg do shift; case $arg in\n"
        + "\n".join(cases)
        + '\n*) set -- "$@" "$arg" ;; esac; done\nexec /usr/bin/bwrap "$@"\n',
    )


async def test_a_self_test_that_cannot_be_made_counts_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    async with _started(SandboxOptions()) as sandbox:
        assert not sandbox.report.available
        assert sandbox.report.reason


async def test_without_bubblewrap_nothing_runs_and_the_answer_is_503(open_folder: Path) -> None:
    marker = open_folder / "marker"
    open_folder.chmod(0o777)
    async with _started(SandboxOptions(bubblewrap=Path("/nonexistent/bwrap"))) as sandbox:
        assert "apt-get install bubblewrap" in (sandbox.report.reason or "") or sys.platform != "linux"
        with pytest.raises(SandboxUnavailable) as raised:
            await sandbox.run(Job(argv=("/bin/sh", "-c", f"echo ran >{marker}")))
    assert (raised.value.status, raised.value.code) == (503, "sandbox_unavailable")
    assert not marker.exists()


async def test_no_allowed_level_means_off() -> None:
    async with _started(SandboxOptions(levels=())) as sandbox:
        assert not sandbox.report.available
        assert "SANDBOX_LEVELS" in (sandbox.report.reason or "")
        with pytest.raises(SandboxUnavailable):
            await sandbox.run(Job(argv=("/bin/true",)))


async def test_before_the_start_and_after_the_end_nothing_runs() -> None:
    sandbox = Sandbox(SandboxOptions())
    with pytest.raises(SandboxUnavailable):
        await sandbox.run(Job(argv=("/bin/true",)))
    await sandbox.start()
    await sandbox.aclose()
    with pytest.raises(SandboxUnavailable):
        await sandbox.run(Job(argv=("/bin/true",)))


@pytest.mark.sandbox
async def test_a_setuid_bubblewrap_is_refused(open_folder: Path) -> None:
    fake = _fake_bwrap(open_folder, "exit 0")
    fake.chmod(0o755 | stat.S_ISUID)
    async with _started(SandboxOptions(bubblewrap=fake)) as sandbox:
        assert "setuid" in (sandbox.report.reason or "")


@pytest.mark.sandbox
async def test_a_bubblewrap_that_runs_things_bare_is_found_out(open_folder: Path) -> None:
    need_bubblewrap()
    fake = _fake_bwrap(open_folder, EXPAND + 'until [ "$1" = -- ]; do shift; done; shift; exec "$@"')
    async with _started(SandboxOptions(bubblewrap=fake)) as sandbox:
        assert not sandbox.report.available


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("case", "check"),
    [
        ('--seccomp) set -- "$@" --ro-bind /tmp /tmp --seccomp ;;', "secret_unreadable"),
        (
            '--unshare-all) set -- "$@" --unshare-pid --unshare-ipc ;; --hostname) set -- "$@" --setenv A ;;',
            "host_sockets_refused",
        ),
        ('--seccomp) set -- "$@" --setenv A ;;', "seccomp_filter"),
        ('cpu=*) set -- "$@" cpu=9,nproc=9999 ;;', "processes_limited"),
    ],
    ids=["files", "network", "seccomp", "processes"],
)
async def test_a_sandbox_with_a_hole_fails_its_self_test(open_folder: Path, case: str, check: str) -> None:
    need_bubblewrap()
    fake = _bwrap_that_changes(open_folder, case)
    async with _started(SandboxOptions(bubblewrap=fake)) as sandbox:
        report = sandbox.report
        assert not report.available
        assert report.checks[check] is False, report
        assert check in (report.reason or "")
        with pytest.raises(SandboxUnavailable):
            await sandbox.run(Job(argv=("/bin/true",)))


@pytest.mark.sandbox
async def test_a_sandbox_that_breaks_later_is_noticed_and_so_is_its_repair(open_folder: Path) -> None:
    need_bubblewrap()
    fake = _fake_bwrap(open_folder, 'exec /usr/bin/bwrap "$@"')
    async with _started(SandboxOptions(bubblewrap=fake, check_interval_s=0.1)) as sandbox:
        assert sandbox.report.available, sandbox.report
        broken = _fake_bwrap(open_folder, "echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
        await _until(lambda: not sandbox.report.available)
        assert "namespace" in (sandbox.report.reason or "")
        _fake_bwrap(broken.parent, 'exec /usr/bin/bwrap "$@"')
        await _until(lambda: sandbox.report.available)


@pytest.mark.sandbox
async def test_a_run_that_finds_the_sandbox_broken_makes_it_unavailable(open_folder: Path) -> None:
    need_bubblewrap()
    fake = _fake_bwrap(open_folder, 'exec /usr/bin/bwrap "$@"')
    async with _started(SandboxOptions(bubblewrap=fake)) as sandbox:
        assert sandbox.report.available, sandbox.report
        _fake_bwrap(open_folder, "exit 1")
        with pytest.raises(SandboxUnavailable):
            await sandbox.run(Job(argv=("/bin/true",)))
        assert not sandbox.report.available


@pytest.mark.sandbox
def test_where_namespaces_are_forbidden_the_sandbox_is_off() -> None:
    """As in a default container: an outer filter refuses new user and mount namespaces."""
    need_bubblewrap()
    script = """
    import asyncio, errno, pyseccomp
    from tools_api.sandbox import Sandbox, SandboxOptions
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    rules.add_rule(pyseccomp.ERRNO(errno.EPERM), "unshare")
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    rules.add_rule(pyseccomp.ERRNO(errno.EPERM), "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, 0x10000000, 0x10000000))
    rules.load()
    async def main():
        sandbox = Sandbox(SandboxOptions())
        await sandbox.start()
        print(sandbox.report.available, sandbox.report.reason)
        await sandbox.aclose()
    asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    answer = done.stdout.strip().splitlines()[-1]
    assert answer.startswith("False ")
    assert "run the service as an ordinary user" in answer or "namespaces" in answer


async def _until(holds: "object", seconds: float = 10) -> None:
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
