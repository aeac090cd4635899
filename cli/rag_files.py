"""Which files `twinport rag add` means: those named, and in folders all but what is hidden or ignored by git."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec


@dataclass(frozen=True, slots=True)
class Found:
    """A file to upload: where it is, how it will be called (always UTF-8, which paths need not be), its size in
    bytes."""

    path: Path
    name: str
    size: int


class NoSuchFile(Exception):
    """Something that was named is not there, or is neither a file nor a folder."""


def find_files(named: Sequence[Path]) -> list[Found]:
    """Return the files below what was named, in order. Raises `NoSuchFile`, `OSError` for a folder that cannot be read.

    A file in a folder is called after its place below it (`handbook/security.md`). Links in folders are left out: they
    may lead anywhere. Whoever names a file or a folder itself gets it, hidden and ignored or not.
    """
    found: list[Found] = []
    for path in named:
        if path.is_file():
            found.append(Found(path, _as_text(path.name), path.stat().st_size))
        elif path.is_dir():
            found += _below(path.resolve())
        else:
            raise NoSuchFile(f"There is no file or folder {str(path)!r}.")
    return found


def _below(folder: Path) -> Iterator[Found]:
    for path in _walk(folder, [*_rules_above(folder)]):
        name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
        yield Found(path, _as_text(name), path.stat().st_size)


def _as_text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Rules:
    """The .gitignore of one folder."""

    folder: Path
    spec: GitIgnoreSpec

    def verdict(self, path: Path, *, is_folder: bool) -> bool | None:
        """Say whether a path is ignored (True), taken back in (False), or not spoken of."""
        place = path.relative_to(self.folder).as_posix()
        return self.spec.check_file(f"{place}/" if is_folder else place).include


def _walk(folder: Path, rules: list[_Rules]) -> Iterator[Path]:
    rules = [*rules, *_rules_in(folder)]
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name.startswith(".") or entry.is_symlink() or _is_ignored(path, rules, is_folder=is_folder):
            continue
        if is_folder:
            yield from _walk(path, rules)
        elif entry.is_file(follow_symlinks=False):
            yield path


def _is_ignored(path: Path, rules: Iterable[_Rules], *, is_folder: bool) -> bool:
    """As git does it: the rules of the folder that is nearest to a path have the last word."""
    ignored = False
    for one in rules:
        verdict = one.verdict(path, is_folder=is_folder)
        ignored = ignored if verdict is None else verdict
    return ignored


def _rules_above(folder: Path) -> Iterator[_Rules]:
    """Yield the rules of the folders above, from the top of the repository that `folder` is in, if it is in one."""
    parents = list(folder.parents)
    top = next((place for place, parent in enumerate(parents) if (parent / ".git").exists()), None)
    if top is None or (folder / ".git").exists():
        return
    for parent in reversed(parents[: top + 1]):
        yield from _rules_in(parent)


def _rules_in(folder: Path) -> Iterator[_Rules]:
    try:
        lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    yield _Rules(folder, GitIgnoreSpec.from_lines(lines))
