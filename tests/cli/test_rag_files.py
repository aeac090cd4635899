"""Which files a folder means: what git would take, and nothing hidden."""

from pathlib import Path

import pytest

from cli.rag_client import batches
from cli.rag_files import Found, NoSuchFile, find_files


def make(folder: Path, *files: str, **written: str) -> None:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    for name, text in written.items():
        (folder / name.replace("__", "/").replace("gitignore", ".gitignore")).write_text(text)


def names(*paths: Path) -> list[str]:
    return [found.name for found in find_files(paths)]


def test_a_folder_brings_the_places_of_its_files_along(tmp_path: Path) -> None:
    make(tmp_path / "docs", "b.md", "a/x.txt", "a/deep/y.pdf")
    assert names(tmp_path / "docs") == ["docs/a/deep/y.pdf", "docs/a/x.txt", "docs/b.md"]


def test_a_file_is_called_after_itself(tmp_path: Path) -> None:
    make(tmp_path, "a/x.txt")
    (found,) = find_files([tmp_path / "a" / "x.txt"])
    assert (found.name, found.size) == ("x.txt", 1)


def test_what_is_hidden_is_left_out_of_folders_but_not_if_it_is_named(tmp_path: Path) -> None:
    make(tmp_path / "docs", "a.md", ".env", ".git/config", "sub/.cache/x")
    assert names(tmp_path / "docs") == ["docs/a.md"]
    assert names(tmp_path / "docs" / ".env") == [".env"]


def test_what_git_ignores_is_left_out(tmp_path: Path) -> None:
    make(
        tmp_path / "docs",
        *(
            "a.md",
            "a.log",
            "keep.log",
            "build/out.md",
            "sub/build/out.md",
            "node_modules/x.js",
            "sub/b.log",
            "sub/c.tmp",
        ),
        gitignore="*.log\n!keep.log\n/build/\nnode_modules/\n",
        sub__gitignore="!b.log\n*.tmp\n",
    )
    assert names(tmp_path / "docs") == ["docs/a.md", "docs/keep.log", "docs/sub/b.log", "docs/sub/build/out.md"]


def test_the_rules_of_the_repository_above_count_too(tmp_path: Path) -> None:
    make(tmp_path, "repo/.git/HEAD", "repo/docs/a.md", "repo/docs/a.log", "repo/docs/tmp/x.md")
    (tmp_path / ".gitignore").write_text("*.md\n")  # above the repository: no business of its
    (tmp_path / "repo" / ".gitignore").write_text("*.log\n/docs/tmp/\n")
    assert names(tmp_path / "repo" / "docs") == ["docs/a.md"]


def test_links_in_folders_lead_nowhere(tmp_path: Path) -> None:
    make(tmp_path, "docs/a.md", "secret.md")
    (tmp_path / "docs" / "link.md").symlink_to(tmp_path / "secret.md")
    (tmp_path / "docs" / "loop").symlink_to(tmp_path)
    assert names(tmp_path / "docs") == ["docs/a.md"]


@pytest.mark.parametrize("name", ["missing.md", "missing/"])
def test_what_is_not_there_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoSuchFile, match="missing"):
        find_files([tmp_path / name])


def test_uploads_are_cut_by_size_and_number() -> None:
    files = [Found(Path("x"), str(number), size) for number, size in enumerate([5, 5, 20, 1, 1, 1, 1])]
    cut = [[file.name for file in batch] for batch in batches(files, most_bytes=10, most_files=3)]
    assert cut == [["0", "1"], ["2"], ["3", "4", "5"], ["6"]]
    assert list(batches([], most_bytes=10, most_files=3)) == []
