"""What a collection's index asks of the index of words beside it. `tools_api/rag/words` implements it.

The truth numbers its changes (documents that came or went) 1, 2, 3, …; a view keeps the number of the last change that
it has applied, in the same commit as what it applied. So after a crash the truth knows what to send again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tools_api.rag.values import ScoredChunk

IdRange = tuple[int, int]
"""Chunk ids from the first one up to, but without, the second one. Lists of them are ascending and do not overlap."""

EVERYTHING: IdRange = (0, 2**62)
"""The range to remove that empties a view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsRow:
    """What is there to be found of a chunk. `name` is the document's file name."""

    chunk_id: int
    text: str
    headings: tuple[str, ...]
    title: str | None
    name: str


class WordsView(Protocol):
    """The index of words of one collection. Every method blocks and is called in a thread.

    `apply`, `purge` and `close` are never called at the same time as one another; `search` and `most` may be at any
    time, also while one of the first two runs, and then see the last commit. A full disk raises `StorageFull`, what
    else can't be read or written `Unavailable`; both leave the last commit.
    """

    def applied_upto(self) -> int:
        """Return `upto` of the last commit; 0 for a view that is new, or was found broken and emptied."""
        ...

    def apply(self, added: Iterable[WordsRow], removed: Sequence[IdRange], upto: int) -> None:
        """Remove the ranges, then add the rows, and commit both together with `upto`.

        `removed` may hold ids that are not there. `added` is read once and may be long: it is not to be collected in
        memory. `upto` may be lower than before: a view that is filled anew in pieces stays at 0 until the last one.
        """
        ...

    def search(self, query: str, k: int, allowed: Sequence[IdRange] | None) -> list[ScoredChunk]:
        """Return the `k` best chunks, best first; of `allowed` only, unless that is None. No query is an error."""
        ...

    def most(self, query: str) -> float:
        """Return the score that no chunk's text can pass for this question: the measure of what a score says."""
        ...

    def purge(self) -> bool:
        """Take some of what was removed out of the view's files, in seconds; say whether there is more to do."""
        ...

    def close(self) -> None:
        """Let go of files and memory. The view is not used afterwards."""
        ...


class OpenWords(Protocol):
    """Opens the view in a folder, which is made if it is not there. What can't be read there is thrown away."""

    def __call__(self, folder: Path) -> WordsView: ...
