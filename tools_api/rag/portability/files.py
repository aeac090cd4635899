"""Files on their way: they have a name for as long as they are written, and none that a crash could leave behind."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

from shared.errors import StorageFull

_BUFFER = 1024 * 1024


def forget_all(folder: Path) -> None:
    """Make the folder for our eyes only, and remove what is in it. Blocking."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink(missing_ok=True)


def open_and_forget(path: Path) -> tuple[BinaryIO, int]:
    """Open a file and take its name from it: it goes with who reads it. Returns its size in bytes too. Blocking."""
    file = path.open("rb")
    path.unlink()
    return file, os.fstat(file.fileno()).st_size


async def receive(body: AsyncIterator[bytes], path: Path, count: Callable[[int], None]) -> None:
    """Write what comes into a new file for our eyes only. Raises `StorageFull`, and what `count` says to its bytes."""
    try:
        descriptor = await asyncio.to_thread(os.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            waiting = bytearray()
            async for piece in body:
                count(len(piece))
                waiting += piece
                if len(waiting) >= _BUFFER:
                    await asyncio.to_thread(_write, file, waiting)
            await asyncio.to_thread(_write, file, waiting)
    except OSError as error:
        raise StorageFull("The disk of the tools API is full or not writable.") from error


def _write(file: BinaryIO, waiting: bytearray) -> None:
    rest = memoryview(waiting)
    while rest:
        rest = rest[file.write(rest) :]
    rest.release()
    waiting.clear()
