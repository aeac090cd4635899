"""The folders that tools work in: one a workspace, isolated by caller, used by one call at a time, gone after a while.

Layout: `<root>/<caller>/<workspace>/`, all 0700. A call without a workspace gets `<root>/<caller>/.call-<random>/`, a
name that no caller can ask for. Sizes are checked after a call: what writes during one (a sandbox) has its own cap.
"""

import asyncio
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from shared.errors import StorageFull
from shared.logging import get_logger

_log = get_logger("workspaces")


class Workspaces:
    """`max_bytes` for one workspace, `total_bytes` for all; one unused for `ttl_s` seconds is removed by `sweep`."""

    def __init__(self, root: Path, *, max_bytes: int, total_bytes: int, ttl_s: float) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._total_bytes = total_bytes
        self._ttl_s = ttl_s
        self._locks: dict[Path, asyncio.Lock] = {}
        self._present: Counter[Path] = Counter()

    @asynccontextmanager
    async def lease(self, caller: str, name: str | None) -> AsyncGenerator[Path]:
        """Hold the workspace `name` (a checked name) alone, or a fresh folder that is removed afterwards."""
        folder = self._root / caller / (name or f".call-{secrets.token_hex(8)}")
        lock = self._locks.setdefault(folder, asyncio.Lock())
        self._present[folder] += 1
        try:
            async with lock:
                _make(folder)
                try:
                    yield folder
                finally:
                    await self._settle(folder, keep=name is not None)
        finally:
            self._present[folder] -= 1
            if not self._present[folder]:
                del self._present[folder]
                del self._locks[folder]

    async def sweep(self) -> int:
        """Remove what nobody used for long, then the longest unused while all together are too large; return how many.

        A folder in use stays, whatever its age.
        """
        folders = await asyncio.to_thread(_survey, self._root)
        folders.sort(key=lambda entry: entry[1])
        total = sum(size for _, _, size in folders)
        removed = 0
        for folder, used_at, size in folders:
            stale = folder.name.startswith(".call-") or used_at < time.time() - self._ttl_s
            if folder in self._present or not (stale or total > self._total_bytes):
                continue
            total -= size
            removed += 1
            doomed = folder.with_name(f".call-{secrets.token_hex(8)}")
            with suppress(OSError):  # out of the way at once: a call may ask for this workspace while it is removed
                folder.rename(doomed)
                await asyncio.to_thread(shutil.rmtree, doomed, ignore_errors=True)
        return removed

    async def _settle(self, folder: Path, *, keep: bool) -> None:
        """Remove a throw-away folder, empty one that outgrew its size. Not to be cancelled half way."""
        if not keep:
            if _remove_empty(folder):  # the usual case, and not worth a thread
                return
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
            return
        with suppress(OSError):
            os.utime(folder)
        if _is_empty(folder):
            return
        size = await asyncio.shield(asyncio.to_thread(_size, folder))
        if size > self._max_bytes:
            _log.warning("workspace_emptied", bytes=size, limit=self._max_bytes)
            await asyncio.shield(asyncio.to_thread(_empty, folder))


def _make(folder: Path) -> None:
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageFull("The tools API cannot make a workspace: its disk is full or not writable.") from error


def _remove_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _is_empty(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return next(entries, None) is None


def _size(folder: Path) -> int:
    return sum(entry.stat(follow_symlinks=False).st_size for entry in _files(folder))


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            else:
                yield entry


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def _survey(root: Path) -> list[tuple[Path, float, int]]:
    found: list[tuple[Path, float, int]] = []
    for folder in root.glob("*/*"):
        with suppress(OSError):  # it may go while we look
            found.append((folder, folder.stat(follow_symlinks=False).st_mtime, _size(folder)))
    return found
