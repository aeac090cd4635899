"""Attacks on what no namespace hides. Each is first made without a sandbox, where it has to succeed."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools_api.sandbox.conftest import Attacker

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]


@dataclass(frozen=True)
class Planted:
    """A folder that any user may use, and sockets that any process may connect to."""

    folder: Path
    port: int
    abstract: str

    def fill(self, attack: str) -> str:
        names = {"FOLDER": str(self.folder), "PORT": str(self.port), "ABSTRACT": self.abstract, "PID": str(os.getpid())}
        for name, value in names.items():
            attack = attack.replace(name, value)
        return f"import os, socket, resource, ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n{attack}"


@pytest.fixture
def planted(open_folder: Path) -> Generator[Planted]:
    name = secrets.token_hex(8)
    (open_folder / "secret").write_text("the secret")
    (open_folder / "secret").chmod(0o666)
    (open_folder / "room").mkdir()
    (open_folder / "room").chmod(0o777)
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as path,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        abstract.bind(f"\0{name}")
        path.bind(f"{open_folder}/socket")
        datagrams.bind(f"{open_folder}/datagrams")
        for listener in (abstract, path):
            listener.listen()
        for socket_file in ("socket", "datagrams"):
            (open_folder / socket_file).chmod(0o777)
        yield Planted(open_folder, tcp.getsockname()[1], name)


def _bare(code: str) -> str:
    """Run an attack as ourselves, without a sandbox."""
    wrapped = f"try:\n exec({code!r})\n print('done')\nexcept BaseException as error: print('refused', repr(error))"
    ended = subprocess.run([sys.executable, "-c", wrapped], capture_output=True, text=True, cwd="/", check=False)
    return ended.stdout


ATTACKS = {
    "read a file": "open('FOLDER/secret').read()",
    "read a system file": "open('/etc/passwd').read()",
    "overwrite a file": "open('FOLDER/secret', 'r+').write('x')",
    "cut off while reading": "os.open('FOLDER/secret', os.O_RDONLY | os.O_TRUNC)",
    "cut off by its path": "os.truncate('FOLDER/secret', 0)",
    "make a file": "open('FOLDER/room/new', 'w')",
    "make a folder": "os.mkdir('FOLDER/room/folder')",
    "remove a file": "os.unlink('FOLDER/secret')",
    "rename a file": "os.rename('FOLDER/secret', 'FOLDER/room/secret')",
    "list a folder": "os.listdir('FOLDER')",
    "list processes": "os.listdir('/proc')",
    "a link to it": "os.chdir('FOLDER/room'); os.link('FOLDER/secret', 'linked')",
    "through a symlink": "os.chdir(os.environ.get('TMPDIR', 'FOLDER')); os.symlink('FOLDER/secret', 'l'); open('l')",
    "through our root": "open('/proc/PID/root/FOLDER/secret').read()",
    "our environment": "open('/proc/PID/environ').read()",
    "our memory": "open('/proc/PID/mem', 'rb')",
    "shared memory": "open('/dev/shm/ABSTRACT', 'w').close(); os.unlink('/dev/shm/ABSTRACT')",
    "connect by TCP": "socket.create_connection(('127.0.0.1', PORT), timeout=5)",
    "listen by TCP": "socket.create_server(('127.0.0.1', 0))",
    "a UDP socket": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "an abstract socket": "socket.socket(socket.AF_UNIX).connect(chr(0) + 'ABSTRACT')",
    "a socket by its path": "socket.socket(socket.AF_UNIX).connect('FOLDER/socket')",
    "an address for a pair": "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', 'FOLDER/datagrams')",
    "a signal": "os.kill(PID, 0)",
    "a signal by descriptor": "import signal; signal.pidfd_send_signal(os.pidfd_open(PID), 0)",
    "another's limits": "resource.prlimit(PID, resource.RLIMIT_CORE)",
    "another's processors": "os.sched_setaffinity(PID, os.sched_getaffinity(PID))",
    "another's priority": "os.setpriority(os.PRIO_PROCESS, PID, os.getpriority(os.PRIO_PROCESS, PID))",
    "watch a file": "assert libc.inotify_add_watch(libc.inotify_init(), b'FOLDER/secret', 2) >= 0",
    "a user namespace": "assert libc.unshare(0x10000000) == 0",
    "memory that nobody maps": "os.memfd_create('x')",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
async def test_it_works_without_a_sandbox_and_is_refused_in_it(
    confined: Attacker, planted: Planted, attack: str
) -> None:
    said = await confined.attempt(planted.fill(attack))
    assert said.startswith("refused "), said
    assert "SyntaxError" not in said
    assert (planted.folder / "secret").read_text() == "the secret"
    assert list((planted.folder / "room").iterdir()) == []
    bare = _bare(planted.fill(attack))
    assert bare == "done\n", bare


@pytest.mark.parametrize("attack", ["os.chmod('FOLDER/secret', 0)", "os.chown('FOLDER/secret', 1, 1)"])
async def test_modes_and_owners_stay_though_it_seems_that_they_change(
    confined: Attacker, planted: Planted, attack: str
) -> None:
    before = (planted.folder / "secret").stat()
    assert await confined.attempt(planted.fill(attack)) == "done"
    after = (planted.folder / "secret").stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)


async def test_signals_to_everyone_reach_the_run_alone(confined: Attacker) -> None:
    bystander = subprocess.Popen(["/bin/sleep", "600"])
    try:
        outcome = await confined.run("os.kill(-1, 9)")
        assert outcome.report in {b"", b"done"}
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


async def test_the_environment_holds_nothing_of_ours(confined: Attacker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_SECRET", "the secret")
    names = await confined.attempt("said = sorted(os.environ)")
    assert "PATH" in names
    assert "PLANTED_SECRET" not in names


async def test_no_descriptor_of_ours_is_open(confined: Attacker) -> None:
    code = """
open_ones = []
for number in range(3, 256):
    try:
        os.fstat(number)
        open_ones.append(number)
    except OSError: pass
said = len(open_ones)"""
    assert int(await confined.attempt(code)) <= 2  # the run's own: its report's pipe, and the script's


async def test_it_is_nobody_we_know(confined: Attacker) -> None:
    uids = eval(await confined.attempt("said = (*os.getresuid(), *os.getresgid())"))  # noqa: S307 - numbers of our own
    assert 0 not in uids
    if os.geteuid() == 0:
        assert len(set(uids)) == 1
        assert 60_600 <= uids[0] < 60_990
        assert await confined.attempt("said = os.getgroups()") in {"[]", f"[{uids[0]}]"}


async def test_another_run_is_out_of_sight(confined: Attacker) -> None:
    first = await confined.attempt("said = os.getcwd()")
    assert first.endswith("/workspace")
    code = f"top = os.path.dirname(os.path.dirname({first!r})); said = os.listdir(top)"
    assert (await confined.attempt(code)).startswith("refused PermissionError")
    assert not Path(first).exists()
