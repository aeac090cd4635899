"""Names and files at the border of the sandbox: nothing here follows a link or trusts a name."""

import contextlib
import errno
import os
import secrets
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from shared.errors import StorageFull
from tools_api.sandbox.outcome import SandboxFile

MAX_NAME_BYTES = 255


def plain_names(paths: Iterable[str]) -> list[str]:
    """Turn hostile relative paths into distinct base names: no separator, no control character, ≤ 255 bytes.

    Folders become part of the name (`plots/a.png` → `plots_a.png`), a name that is taken gets a number.
    """
    taken: set[str] = set()
    names: list[str] = []
    for path in paths:
        name = _distinct(_plain_name(path), taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def read_inputs(folder: Path, *, max_files: int, max_bytes: int) -> tuple[tuple[SandboxFile, ...], tuple[str, ...]]:
    """Read the plain files directly in `folder`; return them and the names left out for their number or size.

    The folder is opened once and never followed out of: its entries are single path components opened with
    O_NOFOLLOW and O_NONBLOCK below its descriptor, which is what openat2's RESOLVE_BENEATH and
    RESOLVE_NO_SYMLINKS would check.
    """
    try:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return (), ()
    try:
        return _read_entries(directory, max_files=max_files, max_bytes=max_bytes)
    finally:
        os.close(directory)


def write_outputs(folder: Path, files: Iterable[SandboxFile]) -> None:
    """Write files with plain names into `folder`, each whole or not at all, replacing what has its name.

    Raises `ValueError` for a name that is not plain.
    """
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for file in files:
            if plain_names([file.name]) != [file.name]:
                raise ValueError("not a plain file name")
            _write_regular(directory, file)
    finally:
        os.close(directory)


def _write_regular(directory: int, file: SandboxFile) -> None:
    draft = f".{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(draft, flags, 0o600, dir_fd=directory), "wb") as stream:
            stream.write(file.content)
        os.replace(draft, file.name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=directory)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull("There is no room for the files that the code made.") from None
        if error.errno != errno.EISDIR:  # a folder of that name stays
            raise


def _read_entries(directory: int, *, max_files: int, max_bytes: int) -> tuple[tuple[SandboxFile, ...], tuple[str, ...]]:
    files: list[SandboxFile] = []
    left_out: list[str] = []
    bytes_left = max_bytes
    for name in sorted(os.listdir(directory)):
        if plain_names([name]) != [name]:
            continue
        content = _read_regular(directory, name, bytes_left) if len(files) < max_files else b""
        if content is None:
            continue
        if len(files) >= max_files or len(content) > bytes_left:
            left_out.append(name)
            continue
        bytes_left -= len(content)
        files.append(SandboxFile(name, content))
    return tuple(files), tuple(left_out)


def _read_regular(directory: int, name: str, at_most: int) -> bytes | None:
    """Read a plain file, at most one byte more than `at_most`; None if it is anything else."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(at_most + 1)


def _plain_name(path: str) -> str:
    flat = "_".join(part for part in path.replace("\\", "/").split("/") if part not in {"", ".", ".."})
    # Cc control, Cf format (right-to-left overrides), Cs lone surrogates, Zl/Zp line separators
    safe = "".join("_" if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else char for char in flat)
    return _cut(safe.strip(" ").lstrip("."), MAX_NAME_BYTES) or "file"


def _distinct(name: str, taken: set[str]) -> str:
    if name.casefold() not in taken:
        return name
    stem, dot, suffix = name.rpartition(".")
    stem, suffix = (stem, _cut(dot + suffix, 32)) if dot else (name, "")
    number = 2
    while True:
        tail = f"_{number}{suffix}"
        candidate = _cut(stem, MAX_NAME_BYTES - len(tail.encode())) + tail
        if candidate.casefold() not in taken:
            return candidate
        number += 1


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode("utf-8", "ignore")
