"""What sandboxed code can't see of, or do to, other processes, the service's included."""

import asyncio
import os
import secrets
import subprocess
import sys
from ast import literal_eval
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.tools_api.sandbox.conftest import Attacker
from tools_api.sandbox import Job

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

CANARY = secrets.token_hex(8)


@pytest.fixture
def victim() -> Generator[subprocess.Popen[bytes]]:
    """A process of the service's user, with a secret in its environment."""
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={**os.environ, "SECRET": CANARY}
    )
    yield process
    process.kill()
    process.communicate()


async def test_host_processes_are_invisible(attacker: Attacker, victim: subprocess.Popen[bytes]) -> None:
    said = await attacker.attempt(
        "import pathlib\n"
        "readable = [p for p in pathlib.Path('/proc').glob('[0-9]*/environ') if os.access(p, os.R_OK)]\n"
        f"said = any({CANARY!r}.encode() in p.read_bytes() for p in readable)"
    )
    assert said == "False"


async def test_it_sees_no_more_than_its_own_three_processes(attacker: Attacker) -> None:
    assert await attacker.attempt("said = sum(name.isdigit() for name in os.listdir('/proc'))") == "3"


async def test_a_host_process_cannot_be_signalled(attacker: Attacker, victim: subprocess.Popen[bytes]) -> None:
    said = await attacker.attempt(f"os.kill({victim.pid}, 9)")
    assert said.startswith("refused ProcessLookupError")
    assert victim.poll() is None


@pytest.mark.parametrize("call", [("ptrace", 16), ("process_vm_readv",)], ids=["ptrace", "process_vm_readv"])
async def test_a_host_process_cannot_be_read(
    attacker: Attacker, victim: subprocess.Popen[bytes], call: tuple[str, ...]
) -> None:
    said = await attacker.attempt(f"syscall(*{call!r}, {victim.pid}, 0, 0, 0)")
    assert said.startswith("refused PermissionError")


async def test_the_services_environment_is_not_passed_on(attacker: Attacker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINPORT_CANARY", CANARY)
    said = await attacker.attempt("said = sorted(os.environ)")
    assert set(literal_eval(said)) <= {"PATH", "HOME", "USER", "LANG", "TZ", "PWD", "LC_CTYPE", "LD_LIBRARY_PATH"}


async def test_no_descriptor_of_the_service_is_passed_on(attacker: Attacker, open_folder: Path) -> None:
    """Even one that someone marked inheritable by mistake."""
    descriptor = os.open(open_folder, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        said = await attacker.attempt(
            "said = {fd: os.readlink('/proc/self/fd/' + fd).split(':')[0] for fd in os.listdir('/proc/self/fd')"
            " if os.path.lexists('/proc/self/fd/' + fd)}"
        )
    finally:
        os.close(descriptor)
    # 0-2, and the pipe on which the attack script reports to its supervisor
    kinds = list(literal_eval(said).values())
    assert sorted(kinds) == ["/dev/null", "pipe", "pipe", "pipe"]


async def test_a_program_inherits_three_descriptors(attacker: Attacker) -> None:
    outcome = await attacker.sandbox.run(Job(argv=("/bin/sh", "-c", "ls /proc/$$/fd")))
    assert outcome.stdout.split() == [b"0", b"1", b"2"]


async def test_it_runs_under_a_uid_that_is_not_the_kernels_root(attacker: Attacker) -> None:
    """From outside: the first marked process that the host's kernel lists."""
    marker = secrets.token_hex(8)
    running = asyncio.create_task(attacker.sandbox.run(Job(argv=("/bin/sh", "-c", f"sleep 1; : {marker}"))))
    uids: set[str] = set()
    for _ in range(200):
        await asyncio.sleep(0.02)
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                # bwrap carries no job in its arguments; only the shell inside does
                if marker.encode() in path.read_bytes():
                    status = (path.parent / "status").read_text()
                    uids |= {line for line in status.splitlines() if line.startswith("Uid:")}
            except OSError:
                continue
        if uids:
            break
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(uids) == 1
    assert "0" not in uids.pop().split()[1:]


async def test_killing_everything_it_can_reach_ends_only_its_own_run(attacker: Attacker) -> None:
    outcome = await attacker.run("os.kill(-1, 9)")
    assert outcome.report == b""
    assert outcome.files == ()
    assert await attacker.attempt("said = 'healthy'") == "healthy"
