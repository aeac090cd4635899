"""What code in an instance can reach: its two folders. Each test attacks one property."""

import asyncio
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.tools_api.sandbox.wasi.conftest import Runner
from tools_api.sandbox import SandboxFile
from tools_api.sandbox.host_user import SANDBOX_UID
from tools_api.sandbox.process_tree import descendants

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize(
    "code",
    [
        "said = open({secret!r}).read()",
        "said = open('../' * 16 + {secret!r}[1:]).read()",
        "said = open('/workspace/../../../../' + {secret!r}[1:]).read()",
        "os.symlink({secret!r}, 'link'); said = open('link').read()",
        "os.symlink('../' * 16 + {secret!r}[1:], 'link'); said = open('link').read()",
        "os.link({secret!r}, 'link'); said = open('link').read()",
        "os.rename({secret!r}, 'taken'); said = open('taken').read()",
        "import sqlite3; said = sqlite3.connect('file:' + {secret!r}, uri=True).execute('select 1').fetchall()",
        "os.chdir('/'); said = open({secret!r}[1:]).read()",
        "said = [open(f'/dev/fd/{{n}}').read() for n in range(3, 64)]",
        "said = os.read(os.open('..', os.O_RDONLY), 1)",
    ],
)
async def test_no_file_of_the_host_can_be_read(wasi: Runner, open_folder: Path, code: str) -> None:
    secret = open_folder / "secret"
    secret.write_text("canary")
    secret.chmod(0o644)
    said = await wasi.said(code.format(secret=str(secret)))
    assert said.startswith("refused"), said
    assert "canary" not in said


@pytest.mark.parametrize(
    "path", ["/proc/self/environ", "/etc/passwd", "/dev/null", "/proc/sys/kernel/core_pattern", "/"]
)
async def test_there_is_no_system_inside(wasi: Runner, path: str) -> None:
    assert (await wasi.said(f"said = os.stat({path!r})")).startswith("refused")


async def test_nothing_of_the_host_can_be_written(wasi: Runner, open_folder: Path) -> None:
    open_folder.chmod(0o777)
    await wasi.said(f"open({str(open_folder / 'planted')!r}, 'w').write('x')")
    assert list(open_folder.iterdir()) == []


async def test_the_services_environment_is_not_there(wasi: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", "canary")
    assert "canary" not in await wasi.said("said = dict(os.environ)")


@pytest.mark.parametrize(
    "code",
    [
        "import socket; said = socket.create_connection(('127.0.0.1', {port}), timeout=2)",
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); said = s.getsockname()",
        "import socket; said = socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))",
        "import socket; said = socket.getaddrinfo('localhost', {port})",
        "import socket; said = socket.socket(socket.AF_UNIX).connect('/run/x')",
        "import urllib.request; said = urllib.request.urlopen('http://127.0.0.1:{port}/')",
    ],
)
async def test_there_is_no_network(wasi: Runner, code: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        said = await wasi.said(code.format(port=server.getsockname()[1]))
        assert said.startswith("refused"), said
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    "code",
    [
        "said = os.fork()",
        "said = os.system('true')",
        "import subprocess; said = subprocess.run(['/bin/true'])",
        "said = os.kill(1, 9)",
        "import ctypes",
        "import _posixshmem",
        "said = os.execv('/bin/true', ['true'])",
    ],
)
async def test_there_are_no_other_processes_and_no_native_code(wasi: Runner, code: str) -> None:
    assert (await wasi.said(code)).startswith("refused")


async def test_one_run_leaves_nothing_to_the_next(wasi: Runner) -> None:
    await wasi.said("import json; json.planted = 1; open('/tmp/left', 'w').write('x'); open('left', 'w').write('x')")
    said = await wasi.said("import json; said = hasattr(json, 'planted'), os.listdir('/tmp'), os.listdir('.')")
    assert said == "(False, [], [])"


async def test_two_runs_have_different_random_numbers(wasi: Runner) -> None:
    code = "import random, uuid, secrets; said = random.random(), uuid.uuid4(), secrets.token_hex(), os.urandom(8)"
    first, second = await wasi.said(code), await wasi.said(code)
    assert len({*first.split(", "), *second.split(", ")}) == 8


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="an ordinary user's runs are its own")
async def test_runs_of_root_are_those_of_a_user_without_rights(wasi: Runner) -> None:
    running = asyncio.create_task(wasi.run("while True: pass"))
    deadline = time.monotonic() + 30
    while len(runs := [pid for pid in descendants(os.getpid()) if b"wasi/child/server.py" in _command(pid)]) < 3:
        assert time.monotonic() < deadline  # the server, the run's keeper and the run
        await asyncio.sleep(0.02)
    status = [Path(f"/proc/{pid}/status").read_text() for pid in runs]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert {
        line for text in status for line in text.splitlines() if line.startswith(("Uid", "CapEff", "NoNewPrivs"))
    } == {
        f"Uid:\t{SANDBOX_UID}\t{SANDBOX_UID}\t{SANDBOX_UID}\t{SANDBOX_UID}",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
    }


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def test_links_and_folders_come_back_as_plain_files_or_not_at_all(wasi: Runner) -> None:
    code = """
os.makedirs('plots/deep')
open('plots/deep/a.txt', 'w').write('a')
open('b.txt', 'w').write('b')
os.symlink('b.txt', 'link')
"""
    outcome = await wasi.run(code)
    assert {file.name: file.content for file in outcome.files} == {"plots/deep/a.txt": b"a", "b.txt": b"b"}
    assert outcome.denied == ("not a plain file: link",)


async def test_input_files_are_there_and_come_back_only_if_they_change(wasi: Runner) -> None:
    files = (SandboxFile("same", b"1"), SandboxFile("changed", b"1"))
    outcome = await wasi.run("said = open('same').read(); open('changed', 'a').write('2')", files=files)
    assert outcome.report == b"1"
    assert {file.name: file.content for file in outcome.files} == {"changed": b"12"}
