"""Locks of a collection, for what must not happen at the same time in two places of this process."""

import asyncio
from weakref import WeakValueDictionary


class Locks:
    """`index`: an index and what the catalogue says of it change together. `files`: so do originals and catalogue."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def index(self, collection_id: str) -> asyncio.Lock:
        return self._of("index", collection_id)

    def files(self, collection_id: str) -> asyncio.Lock:
        return self._of("files", collection_id)

    def _of(self, kind: str, collection_id: str) -> asyncio.Lock:
        lock = self._locks.get((kind, collection_id))
        if lock is None:
            self._locks[kind, collection_id] = lock = asyncio.Lock()
        return lock
