"""Names and files at the border of the sandbox: nothing here follows a link or trusts a name.

A workspace on the host is a tree of plain files with plain names. It is read before a run and written after it, both
through descriptors (`beneath.py`); no sandbox ever sees the folder itself.
"""

import contextlib
import errno
import os
import secrets
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from shared.errors import StorageFull
from tools_api.sandbox.beneath import open_beneath, open_folder, open_folder_beneath, read_beneath
from tools_api.sandbox.outcome import SandboxFile

MAX_NAME_BYTES = 255
MAX_DEPTH = 8
"""Folders above a file, as in `inside/supervisor.py`."""
MAX_ENTRIES = 20_000
_PAGE = 4096
"""A tmpfs gives whole pages."""


def plain_names(paths: Iterable[str]) -> list[str]:
    """Turn hostile relative paths into distinct base names: no separator, no control character, ≤ 255 bytes.

    Folders become part of the name (`plots/a.png` → `plots_a.png`), a name that is taken gets a number.
    """
    taken: set[str] = set()
    names: list[str] = []
    for path in paths:
        name = _distinct("", _joined(_plain_parts(path)), taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def plain_paths(paths: Iterable[str]) -> list[str]:
    """Turn hostile relative paths into distinct ones of at most `MAX_DEPTH` folders, every part a plain name.

    No path is a folder of another one, whatever the capitals: they fit together into one tree on any file system.
    """
    files: set[str] = set()
    folders: set[str] = set()
    plain: list[str] = []
    for path in paths:
        *above, name = _plain_parts(path)
        if any(folder.casefold() in files for folder in _prefixes(above)):
            above, name = [], _joined([*above, name])
        parent = "".join(f"{part}/" for part in above)
        chosen = parent + _distinct(parent, name, files | folders)
        files.add(chosen.casefold())
        folders.update(folder.casefold() for folder in _prefixes(above))
        plain.append(chosen)
    return plain


def read_inputs(
    folder: Path, *, max_files: int, max_bytes: int, max_file_bytes: int | None = None
) -> tuple[tuple[SandboxFile, ...], tuple[str, ...]]:
    """Read the plain files of a workspace and of its folders; return them, and the paths left out for their number or
    size. A workspace that is not there is empty. `max_bytes` counts whole pages, as the sandbox's tmpfs does.
    """
    try:
        root = open_folder(folder)
    except FileNotFoundError:
        return (), ()
    files: list[SandboxFile] = []
    left_out: list[str] = []
    room = max_bytes
    try:
        for path, size in _regular_files(root):
            fits = (
                len(files) < max_files and _paged(size) <= room and (max_file_bytes is None or size <= max_file_bytes)
            )
            content = read_beneath(root, path, size) if fits else None
            if content is None or len(content) > size:
                left_out.append(path)
                continue
            room -= _paged(size)
            files.append(SandboxFile(path, content))
    finally:
        os.close(root)
    return tuple(files), tuple(left_out)


def sizes_of(folder: Path) -> dict[str, int]:
    """Return the sizes of all plain files of a workspace by their paths."""
    root = open_folder(folder)
    try:
        return dict(_regular_files(root))
    finally:
        os.close(root)


def write_outputs(folder: Path, files: Iterable[SandboxFile]) -> tuple[str, ...]:
    """Write files with plain paths into a workspace, each whole or not at all, replacing what has its name.

    Returns the paths that a folder of the same name keeps out. Raises `ValueError` for a path that is not plain,
    `StorageFull`.
    """
    root = open_folder(folder)
    kept_out: list[str] = []
    try:
        for file in files:
            if plain_paths([file.name]) != [file.name]:
                raise ValueError("not a plain path")
            if not _write_regular(root, file):
                kept_out.append(file.name)
    finally:
        os.close(root)
    return tuple(kept_out)


def _write_regular(root: int, file: SandboxFile) -> bool:
    """Write one file; False if a folder has its name."""
    above, _, name = file.name.rpartition("/")
    draft = f".{secrets.token_hex(8)}"
    directory = _make_folders(root, above)
    try:
        descriptor = open_beneath(directory, draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(file.content)
        os.replace(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=directory)
        if error.errno == errno.EISDIR:
            return False
        raise _explained(error) from None
    finally:
        os.close(directory)
    return True


def _make_folders(root: int, path: str) -> int:
    """Return a descriptor of the folder `path`, made if need be; a file in its way gives way."""
    current = os.dup(root)
    try:
        for part in path.split("/") if path else ():
            child = _make_folder(current, part)
            os.close(current)
            current = child
    except OSError as error:
        os.close(current)
        raise _explained(error) from None
    return current


def _make_folder(parent: int, name: str) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    try:
        return open_folder_beneath(parent, name)
    except OSError as error:
        if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
    os.unlink(name, dir_fd=parent)
    os.mkdir(name, 0o700, dir_fd=parent)
    return open_folder_beneath(parent, name)


def _explained(error: OSError) -> Exception:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull("There is no room for the files that the code made.")
    return error


def _regular_files(root: int) -> Iterator[tuple[str, int]]:
    """Walk breadth first, in the order of the names; yield the path and size of each plain file with a plain name."""
    folders = [("", 0)]
    entries = 0
    for above, depth in folders:
        try:
            directory = open_folder_beneath(root, above or ".")
        except OSError:
            continue  # a link or a mount in the place of a folder
        try:
            for name in sorted(os.listdir(directory)):  # noqa: PTH208 - a descriptor
                entries += 1
                if entries > MAX_ENTRIES:
                    return
                if plain_names([name]) != [name]:
                    continue
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield f"{above}{name}", status.st_size
                elif stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH:
                    folders.append((f"{above}{name}/", depth + 1))
        finally:
            os.close(directory)


def _paged(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def _prefixes(parts: list[str]) -> list[str]:
    return ["/".join(parts[: number + 1]) for number in range(len(parts))]


def _plain_parts(path: str) -> list[str]:
    """Return the parts of a path, all plain, at most `MAX_DEPTH` folders and a name."""
    parts = [plain for part in path.replace("\\", "/").split("/") if (plain := _plain_part(part))] or ["file"]
    return [*parts[:MAX_DEPTH], _joined(parts[MAX_DEPTH:])] if len(parts) > MAX_DEPTH else parts


def _plain_part(part: str) -> str:
    # Cc control, Cf format (right-to-left overrides), Cs lone surrogates, Zl/Zp line separators
    safe = "".join("_" if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else char for char in part)
    return _cut(safe.strip(" ").lstrip(". "), MAX_NAME_BYTES)


def _joined(parts: list[str]) -> str:
    return _cut("_".join(parts), MAX_NAME_BYTES)


def _distinct(parent: str, name: str, taken: set[str]) -> str:
    if f"{parent}{name}".casefold() not in taken:
        return name
    stem, dot, suffix = name.rpartition(".")
    stem, suffix = (stem, _cut(dot + suffix, 32)) if dot else (name, "")
    number = 2
    while True:
        tail = f"_{number}{suffix}"
        candidate = _cut(stem, MAX_NAME_BYTES - len(tail.encode())) + tail
        if f"{parent}{candidate}".casefold() not in taken:
            return candidate
        number += 1


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode("utf-8", "ignore").rstrip(" ")
