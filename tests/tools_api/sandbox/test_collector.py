"""Names and files at the border."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools_api.sandbox.collector import MAX_DEPTH, plain_names, plain_paths, read_inputs, write_outputs
from tools_api.sandbox.outcome import SandboxFile


@given(st.lists(st.text(max_size=300), max_size=8))
def test_any_names_become_distinct_plain_ones(paths: list[str]) -> None:
    names = plain_names(paths)
    assert len({name.casefold() for name in names}) == len(paths)
    for name in names:
        assert 0 < len(name.encode()) <= 255
        assert not set(name) & set("/\\\0\n\r")
        assert name not in {".", ".."}


@given(st.lists(st.text(st.sampled_from("aA./\\ \0ü\u202e"), max_size=40) | st.text(max_size=300), max_size=12))
def test_any_paths_become_distinct_plain_ones_of_one_tree(paths: list[str]) -> None:
    plain = plain_paths(paths)
    folded = [path.casefold() for path in plain]
    assert len(set(folded)) == len(paths)
    for path in plain:
        parts = path.split("/")
        assert len(parts) <= MAX_DEPTH + 1
        assert all(plain_names([part]) == [part] for part in parts)
        assert plain_paths([path]) == [path], "what came out once goes in again as it is"
        assert not any(other.startswith(f"{path.casefold()}/") for other in folded), "no file is another's folder"


@pytest.mark.parametrize(
    ("paths", "plain"),
    [
        (["out/a.csv"], ["out/a.csv"]),
        (["../../etc/passwd", "/etc/passwd"], ["etc/passwd", "etc/passwd_2"]),
        ([".git/config"], ["git/config"]),
        (["a", "a/b"], ["a", "a_b"]),
        (["a/b", "A"], ["a/b", "A_2"]),
        (["a/b.txt", "A/B.txt"], ["a/b.txt", "A/B_2.txt"]),
        (["a/b/c/d/e/f/g/h/i/j/k"], ["a/b/c/d/e/f/g/h/i_j_k"]),
        (["//", ". /."], ["file", "file_2"]),
    ],
)
def test_paths_become_plain(paths: list[str], plain: list[str]) -> None:
    assert plain_paths(paths) == plain


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
    (folder / "elsewhere").symlink_to("/etc")
    (folder / "below" / "deeper").mkdir(parents=True)
    (folder / "below" / "deeper" / "b").write_text("b")
    (folder / "below" / "link").symlink_to(tmp_path / "secret")
    (folder / ".hidden").write_text("h")
    os.mkfifo(folder / "pipe")
    expected = (SandboxFile("a", b"a"), SandboxFile("below/deeper/b", b"b"))
    assert read_inputs(folder, max_files=9, max_bytes=1 << 20) == (expected, ())


def test_a_workspace_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_inputs(tmp_path / "none", max_files=9, max_bytes=99) == ((), ())


def test_a_folder_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        read_inputs(tmp_path / "link", max_files=9, max_bytes=99)


def test_what_is_too_much_is_named(tmp_path: Path) -> None:
    for name, size in (("a", 10), ("b", 9000), ("c", 10), ("d", 10)):
        (tmp_path / name).write_bytes(bytes(size))
    files, left_out = read_inputs(tmp_path, max_files=2, max_bytes=8192)
    assert [file.name for file in files] == ["a", "c"]
    assert left_out == ("b", "d")


def test_files_count_in_the_pages_that_the_sandbox_will_need(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(b"x")
    files, left_out = read_inputs(tmp_path, max_files=9, max_bytes=2 * 4096)
    assert ([file.name for file in files], left_out) == (["a", "b"], ("c",))


def test_a_file_larger_than_the_sandbox_lets_one_be_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(5000))
    assert read_inputs(tmp_path, max_files=9, max_bytes=1 << 20, max_file_bytes=4999) == ((), ("big",))


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


def test_folders_are_made_as_they_are_needed(tmp_path: Path) -> None:
    assert write_outputs(tmp_path, [SandboxFile("out/deep/a", b"1"), SandboxFile("out/b", b"2")]) == ()
    assert (tmp_path / "out/deep/a").read_bytes() == b"1"
    assert (tmp_path / "out/b").read_bytes() == b"2"
    assert [path.name for path in tmp_path.rglob(".*")] == []


def test_a_link_in_the_place_of_a_folder_is_replaced_instead_of_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "out").symlink_to(target)
    write_outputs(folder, [SandboxFile("out/a", b"new")])
    assert list(target.iterdir()) == []
    assert (folder / "out/a").read_bytes() == b"new"


def test_a_file_in_the_place_of_a_folder_gives_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file that the run has removed")
    write_outputs(tmp_path, [SandboxFile("out/a", b"new")])
    assert (tmp_path / "out/a").read_bytes() == b"new"


def test_a_folder_in_the_place_of_a_file_stays_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").write_text("kept")
    assert write_outputs(tmp_path, [SandboxFile("out", b"new"), SandboxFile("b", b"b")]) == ("out",)
    assert (tmp_path / "out/kept").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "out"]


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", ".x", "a/.b", "", "a\nb"])
def test_writing_refuses_a_name_that_is_not_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="plain"):
        write_outputs(tmp_path, [SandboxFile(name, b"")])
