"""Which files are parsed together: as many small ones as a run takes, a large one by itself."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from tools_api.rag.parsing.runtime import BYTES_A_RUN, FILES_A_RUN
from tools_api.rag.parsing.values import ParseInput
from tools_api.sandbox import SandboxFile, StoredFile

_READ_AT_ONCE = 1 << 20


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


def sent(batch: Sequence[Sized]) -> tuple[list[SandboxFile], list[StoredFile]]:
    """Return the files as they go in, named by their numbers: small ones read, large ones to be read later.

    Blocks; raises `OSError` for one that is gone.
    """
    read: list[SandboxFile] = []
    stored: list[StoredFile] = []
    for number, item in enumerate(batch):
        content = item.file.content
        if isinstance(content, bytes):
            read.append(SandboxFile(str(number), content))
        elif item.size > _READ_AT_ONCE:
            stored.append(StoredFile(str(number), content, item.size))
        else:
            read.append(SandboxFile(str(number), content.read_bytes()))
    return read, stored
