"""Which files are parsed together: as many small ones as a run takes, a large one by itself."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools_api.rag.parsing.runtime import BYTES_A_RUN, FILES_A_RUN
from tools_api.rag.parsing.values import ParseInput


@dataclass(frozen=True, slots=True)
class Sized:
    """A file and its size in bytes, as it was when the parse began."""

    file: ParseInput
    size: int


def next_batch(waiting: deque[Sized]) -> list[Sized]:
    """Take the files of the next run from the front."""
    batch: list[Sized] = []
    total = 0
    while waiting and len(batch) < FILES_A_RUN and (not batch or total + waiting[0].size <= BYTES_A_RUN):
        total += waiting[0].size
        batch.append(waiting.popleft())
    return batch


def put_back(waiting: deque[Sized], batch: Sequence[Sized]) -> None:
    """Let files that had no turn go first in the next run."""
    waiting.extendleft(reversed(batch))


def contents(batch: Sequence[Sized]) -> Iterator[bytes]:
    """Read the files. Blocks; raises `OSError` for one that is gone."""
    for item in batch:
        content = item.file.content
        yield content if isinstance(content, bytes) else content.read_bytes()
