"""The folders that runs write to: made fresh, watched while they are used, removed afterwards.

What is in them is hostile: nothing here follows a link, and no tree is too deep or too odd to be removed. Nothing
bounds them but the watching and, in a container, the size of the volume that they are on.
"""

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "twinport-runs-"
_LOCK = ".lock"
MAX_DEPTH = 64
"""Deeper trees are a limit met: whoever looks through them holds one descriptor for each step."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's own: `workspace`, where it starts, and `temporary`."""

    path: Path

    @property
    def workspace(self) -> Path:
        return self.path / "workspace"

    @property
    def temporary(self) -> Path:
        return self.path / "tmp"


@dataclass(frozen=True, slots=True)
class Used:
    """What is in a folder: bytes on the disk, and entries. `fathomed` is False if not all of it could be seen."""

    size: int
    entries: int
    fathomed: bool


class RunFolders:
    """Makes folders for runs in one of its own, which lives as long as it does. Raises `OSError` where it can't."""

    def __init__(self) -> None:
        _remove_left_behind()
        draft = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))  # has its name only once it is locked
        self._lock = os.open(draft / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        draft.chmod(0o711)  # runs of root have uids of their own and must pass
        self._base = draft.rename(draft.with_name(draft.name[1:]))

    def create(self, uid: int | None) -> RunFolder:
        """Make one that belongs to `uid`, by default to us."""
        folder = RunFolder(Path(tempfile.mkdtemp(dir=self._base)))
        folder.workspace.mkdir(mode=0o700)
        folder.temporary.mkdir(mode=0o700)
        if uid is not None:
            for path in (folder.workspace, folder.temporary, folder.path):  # fresh: nobody has been in there
                os.chown(path, uid, uid, follow_symlinks=False)
        return folder

    def close(self) -> None:
        """Remove everything."""
        remove_tree(self._base)
        os.close(self._lock)


def used(folder: Path, *, most_entries: int) -> Used:
    """Add up what is in a folder that a run may be changing at the same time, not looking at more than that."""
    try:
        descriptor = _open_folder(folder)
    except OSError:
        return Used(0, 0, fathomed=False)
    size = entries = 0
    fathomed = True
    with contextlib.closing(_walk(descriptor, depth=0)) as statuses:
        for found in statuses:
            if found is None or entries >= most_entries:
                fathomed = False
                break
            entries += 1
            size += found.st_blocks * 512
    return Used(size, entries, fathomed)


def _walk(directory: int, *, depth: int) -> Generator[os.stat_result | None]:
    """Yield the status of each entry, None for what can't be looked into. Closes `directory`."""
    try:
        for name in _names(directory):
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                child = _open_folder(name, directory) if stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH else None
            except FileNotFoundError:
                continue  # gone meanwhile
            yield status
            if child is not None:
                yield from _walk(child, depth=depth + 1)
            elif stat.S_ISDIR(status.st_mode):
                yield None
    except OSError:
        yield None
    finally:
        os.close(directory)


def remove_tree(path: Path) -> None:
    """Remove a folder however deep it is: what lies deep is first moved up. Nobody may be in it any more.

    Raises `OSError` if something of it stays.
    """
    directory = _open_folder(path)
    try:
        moved = 0
        while names := _names(directory):
            for name in names:
                if not _removed_as_file(name, directory):
                    moved = _flatten(name, directory, moved)
                    os.rmdir(name, dir_fd=directory)
    finally:
        os.close(directory)
    path.rmdir()


def _flatten(name: str, parent: int, moved: int) -> int:
    """Remove the files of a folder and move its folders beside it, under numbers above `moved`."""
    child = _open_closed_folder(name, parent)
    try:
        for inner in _names(child):
            if _removed_as_file(inner, child):
                continue
            os.close(_open_closed_folder(inner, child))
            moved += 1
            while True:
                try:
                    os.rename(inner, f".moved-{moved}", src_dir_fd=child, dst_dir_fd=parent)
                    break
                except OSError as error:
                    if error.errno not in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
                        raise
                    moved += 1  # the run has made one of that name
    finally:
        os.close(child)
    return moved


def _removed_as_file(name: str, directory: int) -> bool:
    """Remove what is not a folder; False if it is one."""
    if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        return False
    os.unlink(name, dir_fd=directory)
    return True


def _open_closed_folder(name: str, parent: int) -> int:
    """Open a folder that its owner may have closed to everyone."""
    os.chmod(name, 0o700, dir_fd=parent)  # it was a folder a moment ago, and nobody is left to change that
    return _open_folder(name, parent)


def _names(directory: int) -> list[str]:
    return os.listdir(directory)


def _open_folder(path: str | Path, parent: int | None = None) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)


def _remove_left_behind() -> None:
    """Remove the folders of services that were killed: nobody holds their lock."""
    for base in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if base.lstat().st_uid != os.geteuid() or not stat.S_ISDIR(base.lstat().st_mode):
                continue
            lock = os.open(base / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # it has just been made, or removed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(base)
        except OSError:
            continue  # in use
        finally:
            os.close(lock)
