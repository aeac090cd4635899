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


async def test_files_in_folders_get_flat_names(attacker: Attacker) -> None:
    outcome = await attacker.run("os.makedirs('plots/old'); open('plots/old/a.png', 'w').write('x')")
    assert [file.name for file in outcome.files] == ["plots_old_a.png"]


async def test_hostile_names_are_made_plain(attacker: Attacker) -> None:
    outcome = await attacker.run(
        "for name in (b'a\\nb', b'..\\\\x', b'\\xff\\xfe', b'.hidden', 'x\\u202etxt.exe'.encode()):"
        " open(name, 'w').write('x')"
    )
    names = [file.name for file in outcome.files]
    assert len(set(names)) == 5
    assert all("/" not in name and name.isprintable() and not name.startswith(".") for name in names)


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
