"""What tantivy raises, in the product's words."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import StorageFull, Unavailable
from tools_api.rag.words.writer import HEAP_BYTES


class WordsUnavailable(Unavailable):
    """The index of words of a collection can't be read or written now."""

    code = "words_unavailable"


@contextmanager
def words_failures(folder: Path) -> Generator[None]:
    """Raise `StorageFull` for what fails while less is free than a commit may need, else `WordsUnavailable`.

    tantivy's errors carry the reason as text only, and in a thread of its own not even that; the disk itself tells. An
    `OSError` is Python's own and says what it is, so that it goes on as it came.
    """
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        if shutil.disk_usage(folder).free < HEAP_BYTES:
            raise StorageFull("The disk is full; what was searchable before still is.") from error
        if isinstance(error, OSError):
            raise
        raise WordsUnavailable("The index of words of this collection cannot be used now; try again later.") from error
