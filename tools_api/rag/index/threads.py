"""The threads of all indexes: for searches, for writes, and for what happens in the background."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

_SEARCHES = min(8, os.cpu_count() or 1)
_READS = 8
_WRITES = 4
_SNAPSHOTS = 2


def _searching() -> None:
    _use_threads(1)


def _building() -> None:
    _use_threads(max(1, (os.cpu_count() or 1) // 2))


def _use_threads(number: int) -> None:
    from tools_api.rag.index import kinds  # brings numpy and FAISS along

    kinds.use_threads(number)


def _pool(name: str, threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix=f"rag-{name}")


@dataclass(frozen=True, slots=True)
class Threads:
    """`searches` is as wide as the machine, and FAISS uses one thread in each, so that searches do not fight for cores.

    `snapshots` are written two at a time, whoever waits for them: each takes as long as its collection is large.
    `background` is one thread: building a segment must not take the machine from those who wait.
    """

    searches: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_SEARCHES, "rag-search", initializer=_searching)
    )
    reads: ThreadPoolExecutor = field(default_factory=lambda: _pool("read", _READS))
    writes: ThreadPoolExecutor = field(default_factory=lambda: _pool("write", _WRITES))
    snapshots: ThreadPoolExecutor = field(default_factory=lambda: _pool("snapshot", _SNAPSHOTS))
    background: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, "rag-build", initializer=_building)
    )

    @property
    def at_once(self) -> int:
        """How many parts of one search can run at the same time."""
        return _SEARCHES

    def close(self) -> None:
        """End the threads when they have done what they do. Blocking."""
        for pool in (self.searches, self.reads, self.writes, self.snapshots, self.background):
            pool.shutdown(cancel_futures=True)
