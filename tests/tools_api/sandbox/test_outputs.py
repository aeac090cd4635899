"""What comes out: files, never through a link, never a surprise."""

from dataclasses import replace

import pytest

from tests.tools_api.sandbox.conftest import LIMITS, Attacker
from tools_api.sandbox import Job, SandboxFile

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]


async def test_new_files_come_back_whole(attacker: Attacker) -> None:
    outcome = await attacker.run("open('a.bin', 'wb').write(bytes(range(256)) * 4096)")
    assert outcome.files == (SandboxFile("a.bin", bytes(range(256)) * 4096),)


async def test_inputs_are_there_and_come_back_only_if_changed(attacker: Attacker) -> None:
    files = (SandboxFile("same.txt", b"same"), SandboxFile("other.txt", b"old"))
    outcome = await attacker.run("said = open('same.txt').read(); open('other.txt', 'w').write('new!')", files=files)
    assert outcome.report == b"same"
    assert outcome.files == (SandboxFile("other.txt", b"new!"),)


@pytest.mark.parametrize("target", ["/etc/shadow", "/usr/bin/env", "/proc/self/environ"])
async def test_a_symlink_is_not_followed(attacker: Attacker, target: str) -> None:
    outcome = await attacker.run(f"os.symlink({target!r}, 'out.txt')")
    assert outcome.files == ()
    assert outcome.denied == ("not a plain file: out.txt",)


async def test_a_link_to_a_folder_is_not_followed(attacker: Attacker) -> None:
    outcome = await attacker.run("os.symlink('/usr/bin', 'bin')")
    assert outcome.files == ()


async def test_a_fifo_does_not_hang_the_collector(attacker: Attacker) -> None:
    outcome = await attacker.run("os.mkfifo('pipe'); open('a', 'w').write('x')")
    assert [file.name for file in outcome.files] == ["a"]
    assert outcome.wall_s < 2


async def test_files_in_folders_come_back_with_their_paths(attacker: Attacker) -> None:
    outcome = await attacker.run("os.makedirs('plots/old'); open('plots/old/a.png', 'w').write('x')")
    assert outcome.files == (SandboxFile("plots/old/a.png", b"x"),)


async def test_inputs_in_folders_are_there_and_come_back_only_if_changed(attacker: Attacker) -> None:
    files = (SandboxFile("in/deep/a.txt", b"a"), SandboxFile("in/b.txt", b"b"))
    outcome = await attacker.run("said = open('in/deep/a.txt').read(); open('in/b.txt', 'a').write('!')", files=files)
    assert outcome.report == b"a"
    assert outcome.files == (SandboxFile("in/b.txt", b"b!"),)


async def test_a_file_that_the_code_has_closed_to_everyone_comes_back(attacker: Attacker) -> None:
    outcome = await attacker.run("open('a', 'w').write('x'); os.chmod('a', 0); said = oct(os.stat('a').st_mode)")
    assert outcome.report == b"0o100000"
    assert outcome.files == (SandboxFile("a", b"x"),)


@pytest.mark.parametrize("mode", [0, 0o200, 0o400, 0o500])
async def test_folders_that_the_code_has_closed_to_everyone_are_opened_up(attacker: Attacker, mode: int) -> None:
    outcome = await attacker.run(
        f"os.mkdir('d'); open('d/a', 'w').write('x'); os.chmod('d', {mode}); os.chmod('.', {mode}); said = 'done'"
    )
    assert outcome.report == b"done"
    assert outcome.files == (SandboxFile("d/a", b"x"),)


async def test_hostile_names_are_made_plain(attacker: Attacker) -> None:
    outcome = await attacker.run(
        "for name in (b'a\\nb', b'..\\\\x', b'\\xff\\xfe', b'.hidden', 'x\\u202etxt.exe'.encode()):"
        " open(name, 'w').write('x')"
    )
    names = [file.name for file in outcome.files]
    assert len(set(names)) == 5
    assert all("/" not in name and name.isprintable() and not name.startswith(".") for name in names)


async def test_a_path_deeper_than_a_workspace_goes_is_not_walked(attacker: Attacker) -> None:
    outcome = await attacker.run(
        "deep = '/'.join('abcdefghij')\nos.makedirs(deep)\n"
        "open(deep + '/x', 'w').write('x'); open('a/b/c/d/e/f/g/h/y', 'w').write('y')"
    )
    assert outcome.files == (SandboxFile("a/b/c/d/e/f/g/h/y", b"y"),)


async def test_ten_thousand_files_are_cut_to_the_limit(attacker: Attacker) -> None:
    outcome = await attacker.run("for number in range(10_000): open(f'f{number:05}', 'w').write('x')")
    assert len(outcome.files) == 32
    assert outcome.limit == "files"
    assert outcome.exit_code == 0


async def test_a_sparse_gigabyte_is_not_collected(attacker: Attacker) -> None:
    outcome = await attacker.run(
        "try: os.truncate(os.open('big', 66, 0o600), 1 << 30)\nexcept OSError: pass\nopen('a', 'w').write('x')"
    )
    assert sum(len(file.content) for file in outcome.files) < 1024


async def test_a_file_beyond_the_size_limit_is_named_not_sent(attacker: Attacker) -> None:
    outcome = await attacker.run("os.truncate(os.open('big', 66, 0o600), 40 << 20); open('zzz', 'w').write('x')")
    assert [file.name for file in outcome.files] == ["zzz"]
    assert outcome.denied == ("too large: big",)
    assert outcome.limit == "files"


async def test_a_timed_out_run_still_hands_over_its_files(attacker: Attacker) -> None:
    outcome = await attacker.run(
        "open('partial', 'w').write('x')\nwhile True: pass", limits=replace(LIMITS, wall_s=1.0)
    )
    assert outcome.limit == "timeout"
    assert [file.name for file in outcome.files] == ["partial"]


async def test_a_program_gets_its_arguments_and_says_its_exit_code(attacker: Attacker) -> None:
    outcome = await attacker.sandbox.run(Job(argv=("/bin/sh", "-c", "echo out; echo err >&2; exit 3")))
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (3, b"out\n", b"err\n")


async def test_a_program_that_is_not_there_is_an_exit_code(attacker: Attacker) -> None:
    outcome = await attacker.sandbox.run(Job(argv=("/bin/no-such-program",)))
    assert outcome.exit_code == 127
    assert b"No such file" in outcome.stderr
