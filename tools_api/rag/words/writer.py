"""The writer of an index of words: made when there is something to write, let go of when there has been nothing.

A writer holds threads and up to `HEAP_BYTES` of memory, and merges small segments in the background while it lives.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import tantivy

HEAP_BYTES = 32 * 1024 * 1024
"""What it collects before it writes a segment; tantivy asks for 15 MB at least."""


class Writer:
    """Gives out the one writer. Whoever uses it is alone with it."""

    def __init__(self, index: tantivy.Index, folder: Path, *, idle_s: float) -> None:
        self._index = index
        self._folder = folder
        self._idle_s = idle_s
        self._turn = threading.Lock()
        self._writer: tantivy.IndexWriter | None = None
        self._release: threading.Timer | None = None

    @property
    def is_open(self) -> bool:
        return self._writer is not None

    @contextmanager
    def writing(self) -> Generator[tantivy.IndexWriter]:
        """Give out the writer. If the body fails, all that it wrote since its last commit is dropped with it."""
        with self._turn:
            self._stop_timer()
            if self._writer is None:
                self._writer = self._index.writer(HEAP_BYTES, 1)
            whole = False
            try:
                yield self._writer
                whole = True
            finally:
                if whole:
                    self._start_timer()
                else:
                    self._writer = None

    def finish_merges(self) -> None:
        """Return when no segments are being merged."""
        with self._turn:
            self._stop_timer()
            if self._writer is not None:
                writer, self._writer = self._writer, None
                writer.wait_merging_threads()

    def close(self) -> None:
        """Let go of the writer; a merge that is going on is given up, which loses nothing."""
        with self._turn:
            self._stop_timer()
            self._writer = None

    def _start_timer(self) -> None:
        self._release = threading.Timer(self._idle_s, self._release_if_idle, [self._changed_at()])
        self._release.daemon = True
        self._release.start()

    def _stop_timer(self) -> None:
        if self._release is not None:
            self._release.cancel()
            self._release = None

    def _release_if_idle(self, changed_at: float) -> None:
        """Let go of the writer unless a merge has written since; then look again later."""
        if not self._turn.acquire(blocking=False):
            return  # somebody writes, and starts the clock again afterwards
        try:
            if self._release is not threading.current_thread():
                return
            if self._changed_at() == changed_at:
                self._writer = self._release = None
            else:
                self._start_timer()
        finally:
            self._turn.release()

    def _changed_at(self) -> float:
        try:
            return max((file.stat().st_mtime for file in self._folder.iterdir()), default=0.0)
        except OSError:  # a file that a merge has just removed
            return -1.0
