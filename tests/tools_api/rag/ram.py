"""Where tests keep indexes: these sync every change to the disk, which is what takes longest in a small test."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_RAM = Path("/dev/shm")


@contextmanager
def ram_folder() -> Generator[Path]:
    """Lend a folder in memory, or an ordinary one where there is none."""
    with tempfile.TemporaryDirectory(dir=_RAM if _RAM.is_dir() else None) as folder:
        yield Path(folder)
