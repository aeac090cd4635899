"""Names and files at the border."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools_api.sandbox.collector import plain_names, read_inputs, write_outputs
from tools_api.sandbox.outcome import SandboxFile


@given(st.lists(st.text(max_size=300), max_size=8))
def test_any_names_become_distinct_plain_ones(paths: list[str]) -> None:
    names = plain_names(paths)
    assert len({name.casefold() for name in names}) == len(paths)
    for name in names:
        assert 0 < len(name.encode()) <= 255
        assert not set(name) & set("/\\\0\n\r")
        assert name not in {".", ".."}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.txt", "a.txt"),
        ("plots/a.png", "plots_a.png"),
        ("../../etc/passwd", "etc_passwd"),
        ("/etc/passwd", "etc_passwd"),
        ("..\\x", "x"),
        ("a\nb", "a_b"),
        ("x\u202etxt.exe", "x_txt.exe"),
        ("..", "file"),
        ("", "file"),
        (".bashrc", "bashrc"),
        ("ü" * 200, "ü" * 127),
    ],
)
def test_a_name_becomes_plain(path: str, name: str) -> None:
    assert plain_names([path]) == [name]


def test_names_that_meet_get_numbers() -> None:
    assert plain_names(["a/b.txt", "a_b.txt", "A_B.TXT"]) == ["a_b.txt", "a_b_2.txt", "A_B_3.TXT"]


def test_only_plain_files_of_the_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("planted")
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "a").write_text("a")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "below").mkdir()
    os.mkfifo(folder / "pipe")
    assert read_inputs(folder, max_files=9, max_bytes=99) == ((SandboxFile("a", b"a"),), ())


def test_a_folder_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        read_inputs(tmp_path / "link", max_files=9, max_bytes=99)


def test_what_is_too_much_is_named(tmp_path: Path) -> None:
    for name, size in (("a", 10), ("b", 200), ("c", 10), ("d", 10)):
        (tmp_path / name).write_bytes(bytes(size))
    files, left_out = read_inputs(tmp_path, max_files=2, max_bytes=100)
    assert [file.name for file in files] == ["a", "c"]
    assert left_out == ("b", "d")


def test_writing_replaces_a_link_instead_of_following_it(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("untouched")
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "out").symlink_to(target)
    write_outputs(folder, [SandboxFile("out", b"new")])
    assert target.read_text() == "untouched"
    assert (folder / "out").read_bytes() == b"new"
    assert not (folder / "out").is_symlink()


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "", "a\nb"])
def test_writing_refuses_a_name_that_is_not_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="plain"):
        write_outputs(tmp_path, [SandboxFile(name, b"")])
