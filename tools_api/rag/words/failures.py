"""Telling a full disk from what is wrong with an index."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import StorageFull
from tools_api.rag.words.writer import HEAP_BYTES


@contextmanager
def full_disk_told(folder: Path) -> Generator[None]:
    """Raise `StorageFull` for what fails while less is free than a commit may need.

    tantivy's errors carry the reason as text only, and in a thread of its own not even that; the disk itself tells.
    """
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        if shutil.disk_usage(folder).free < HEAP_BYTES:
            raise StorageFull("The disk is full; what was searchable before still is.") from error
        raise
