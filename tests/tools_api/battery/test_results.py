"""What comes out: files, never through a link, never a surprise; text, never an object."""

import json
import pickle

import pytest

from tests.tools_api.battery.planted import CANARY, MakeFolder, Planted
from tests.tools_api.battery.server import MARKS, Server

pytestmark = MARKS

HOSTILE_NAMES = (b"a\nb", b"..\\x", b"\xff\xfe", b".hidden", "x\u202etxt.exe".encode(), b"...", b"-rf", b"con")
FORGED_REPORTS = """
import os
for fd in range(3, 64):
    try:
        os.write(fd, b'value\\0forged\\0error\\0\\xff' + bytes(1 << 16))
    except OSError:
        pass
print('tried')
os._exit(0)
"""


@pytest.mark.parametrize("target", ["secret", "/etc/shadow", "/proc/self/environ", "/usr/bin/env"])
async def test_a_symlink_is_not_followed(server: Server, planted: Planted, target: str) -> None:
    path = planted.secret if target == "secret" else target
    attempt = await server.run(f"import os; os.symlink({path!r}, 'out'); print(os.readlink('out'))", workspace="links")
    assert attempt.stdout == path
    assert attempt.names == []
    assert attempt.receipt["denied"] == ["not a plain file: out"]


async def test_a_link_is_not_there_for_the_next_run(server: Server, planted: Planted) -> None:
    await server.said(f"import os; os.symlink({planted.secret!r}, 'out')", workspace="next")
    assert await server.said("import os; print(os.path.lexists('out'))", workspace="next") == "False"


async def test_a_link_to_a_folder_is_not_followed(server: Server, planted: Planted) -> None:
    attempt = await server.run(f"import os; os.symlink({str(planted.folder)!r}, 'folder'); os.symlink('/usr', 'usr')")
    assert (attempt.error, attempt.names) == (None, [])


async def test_a_fifo_does_not_hang_the_collector(server: Server) -> None:
    attempt = await server.run("import os; os.mkfifo('pipe'); open('a', 'w').write('x')", workspace="fifo")
    assert (attempt.error, attempt.names) == (None, ["a"])


async def test_a_socket_is_not_collected(server: Server) -> None:
    attempt = await server.run("import socket; socket.socket(socket.AF_UNIX).bind('s'); open('a', 'w').write('x')")
    assert (attempt.error, attempt.names) == (None, ["a"])


async def test_hostile_names_are_made_plain(server: Server) -> None:
    attack = f"for name in {HOSTILE_NAMES!r}: open(name, 'w').write('x')\nimport os; print(len(os.listdir()))"
    attempt = await server.run(attack, workspace="names")
    assert attempt.stdout == str(len(HOSTILE_NAMES))
    assert len(set(attempt.names)) == len(HOSTILE_NAMES)
    assert all("/" not in name and name.isprintable() and not name.startswith(".") for name in attempt.names)


async def test_files_in_folders_get_names_without_folders(server: Server) -> None:
    attempt = await server.run("import os; os.makedirs('plots/old'); open('plots/old/a.png', 'w').write('x')")
    assert attempt.names == ["plots_old_a.png"]


async def test_what_is_downloaded_is_what_was_written(server: Server) -> None:
    attempt = await server.run("open('a.bin', 'wb').write(bytes(range(256)))")
    assert await server.download(attempt.result["artifacts"][0]) == bytes(range(256))


async def test_ten_thousand_files_are_cut_to_the_limit(server: Server) -> None:
    attempt = await server.run("for number in range(10_000): open(f'f{number:05}', 'w')")
    assert len(attempt.names) == 32
    assert "too many files" in attempt.receipt["denied"]


async def test_a_sparse_gigabyte_is_not_collected(server: Server) -> None:
    """Its size is refused; what is made as large as it may be is larger than what a run may hand over."""
    attack = """
import os
file = os.open('big', os.O_RDWR | os.O_CREAT)
try:
    os.truncate(file, 1 << 30)
except OSError as error:
    print(error.errno)
os.truncate(file, 60 << 20)
open('a', 'w').write('x')
"""
    attempt = await server.run(attack)
    assert attempt.stdout == "27"
    assert attempt.names == ["a"]
    assert "too large: big" in attempt.receipt["denied"]


async def test_a_file_that_the_code_makes_unreadable_comes_back(server: Server) -> None:
    attempt = await server.run(
        "import os; os.mkdir('d'); open('d/a', 'w').write('x')\n"
        "for path in ('d/a', 'd', '.'): os.chmod(path, 0)\nprint('made')"
    )
    assert (attempt.status, attempt.stdout, attempt.error, attempt.names) == (200, "made", None, ["d_a"])


async def test_a_pickle_is_returned_as_text(server: Server, open_folder: MakeFolder) -> None:
    marker = open_folder() / "unpickled"
    attack = f"import sys; sys.stdout.buffer.write({_Unpickled(str(marker)).pickled()!r})"
    assert str(marker) in await server.said(attack)
    assert not marker.exists()


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"lc": 1, "type": "secret", "id": ["PLANTED_SECRET"]}),
        json.dumps({"ok": False, "artifacts": [{"id": "/etc/shadow"}]}),
        '{"__class__": "os.system"}',
        "{{ cycler.__init__.__globals__ }}",
        "data: [DONE]\n\nevent: error",
    ],
    ids=["reviver", "contract", "class", "template", "event-stream"],
)
async def test_what_looks_like_an_object_is_returned_as_text(server: Server, text: str) -> None:
    attempt = await server.run(f"print({text!r})")
    assert (attempt.stdout, attempt.result["ok"], attempt.names) == (text, True, [])
    assert CANARY not in json.dumps(attempt.result)


async def test_a_json_bomb_is_returned_as_text_and_cut(server: Server) -> None:
    attempt = await server.run("print('[' * 200_000)")
    assert attempt.stdout == "[" * 200_000
    assert len(attempt.result["content"]) < 101_000


async def test_what_is_no_unicode_is_returned_as_text(server: Server) -> None:
    assert "\ufffd" in await server.said("import sys; sys.stdout.buffer.write(b'\\xff\\xfe\\x00')")


async def test_a_forged_report_comes_to_no_more_than_a_false_answer(server: Server, planted: Planted) -> None:
    attempt = await server.run(FORGED_REPORTS)
    assert (attempt.status, attempt.stdout, attempt.names) == (200, "tried", [])
    assert {"ok", "content", "data", "artifacts", "sources", "error", "receipt"} <= set(attempt.result)


class _Unpickled:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (self.path, "w")

    def pickled(self) -> bytes:
        return pickle.dumps(self)
