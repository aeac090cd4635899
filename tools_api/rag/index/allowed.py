"""Which chunks a search may find: a condition on documents as ranges of chunk ids, remembered while nothing changes."""

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence

import orjson

from shared.errors import InvalidRequest
from tools_api.rag.index.filters import Condition, compile_filter
from tools_api.rag.index.reading import ranges_where
from tools_api.rag.index.words_view import IdRange
from tools_api.rag.values import Filter

_KEPT = 16
_MOST_RANGES = 20_000
MAX_DOCUMENTS = 10_000

Key = tuple[int, Condition, tuple[str, ...] | None]


class Allowed:
    """Remembers the ranges of the last few conditions; any thread may ask."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, list[IdRange]] = OrderedDict()
        self._lock = threading.Lock()

    def ranges(
        self, version: int, where: Filter | None, documents: Sequence[str] | None, db: sqlite3.Connection
    ) -> list[IdRange] | None:
        """Return the ranges of what may be found, None for everything. Raises `InvalidRequest`.

        `version` is the number of the collection's last change when the question came.
        """
        if where is None and documents is None:
            return None
        ids = None if documents is None else _checked(documents)
        key: Key = (version, compile_filter(where or {}), ids)
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known
        found = ranges_where(db, key[1], ids)
        with self._lock:
            if len(found) <= _MOST_RANGES:
                self._known[key] = found
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found


def _checked(documents: Sequence[str]) -> tuple[str, ...]:
    if len(documents) > MAX_DOCUMENTS:
        raise InvalidRequest(f"A search names at most {MAX_DOCUMENTS} documents.", param="documents")
    try:
        orjson.dumps(list(documents))
    except TypeError:
        raise InvalidRequest("The id of a document is text.", param="documents") from None
    return tuple(documents)
