"""Files on their way: they have a name for as long as they are written, and none that a crash could leave behind."""

import os
from pathlib import Path
from typing import BinaryIO


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
