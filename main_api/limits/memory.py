"""Where the `limits` library keeps its counters in this process. Holds no rules: the library's strategies do.

The library's own memory storage starts a thread every ten milliseconds under load, grows without bound, and follows
the wall clock, so that a clock set back locks everybody out. This one is bounded, has no threads (call it from one
thread only) and counts by a clock that only moves forward.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from limits.storage import MovingWindowSupport, SlidingWindowCounterSupport, Storage


@dataclass(slots=True)
class _Counter:
    """Hits in one window and in the one before it; windows are numbered since the clock's zero."""

    expires: float
    window: int = 0
    current: int = 0
    previous: int = 0


@dataclass(slots=True)
class _Log:
    """The time of every hit, oldest first."""

    expires: float
    hits: deque[float] = field(default_factory=deque[float])


class BoundedMemoryStorage(Storage, MovingWindowSupport, SlidingWindowCounterSupport):
    """At most `max_keys` keys: the one that was quiet for longest is forgotten first. O(1) for each hit."""

    STORAGE_SCHEME = None  # not to be found by a URL

    def __init__(self, *, max_keys: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._max_keys = max_keys
        self._clock = clock
        self._entries: OrderedDict[str, _Counter | _Log] = OrderedDict()  # the quietest first

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a hit if the current window plus the weighted previous one stay within `limit`."""
        now = self._clock()
        counter = self._counter(key, expiry, now)
        weight = 1 - now % expiry / expiry
        if counter.previous * weight + counter.current + amount > limit:
            return False
        counter.current += amount
        return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return the previous window's count and seconds left, then the current window's."""
        now = self._clock()
        counter = self._counter(key, expiry, now)
        left = expiry - now % expiry
        return counter.previous, left, counter.current, left + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        self._entries.pop(key, None)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Record a hit if fewer than `limit` were recorded within the last `expiry` seconds."""
        now = self._clock()
        log = self._log(key, expiry, now)
        if len(log.hits) + amount > limit:
            return False
        log.hits.extend([now] * amount)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return the time of the oldest hit that still counts, by the clock given, and how many count."""
        now = self._clock()
        log = self._log(key, expiry, now)
        return (log.hits[0] if log.hits else now), len(log.hits)

    def _counter(self, key: str, expiry: int, now: float) -> _Counter:
        window = int(now // expiry)
        counter = self._entries.get(key)
        if not isinstance(counter, _Counter):
            self._make_room(now)
            counter = self._entries[key] = _Counter(expires=0, window=window)
        self._entries.move_to_end(key)
        if counter.window != window:
            counter.previous = counter.current if counter.window == window - 1 else 0
            counter.current = 0
            counter.window = window
        counter.expires = (window + 2) * expiry
        return counter

    def _log(self, key: str, expiry: int, now: float) -> _Log:
        log = self._entries.get(key)
        if not isinstance(log, _Log):
            self._make_room(now)
            log = self._entries[key] = _Log(expires=0)
        self._entries.move_to_end(key)
        while log.hits and log.hits[0] <= now - expiry:
            log.hits.popleft()
        log.expires = now + expiry
        return log

    def _make_room(self, now: float) -> None:
        while self._entries:
            quietest = next(iter(self._entries))
            if len(self._entries) < self._max_keys and self._entries[quietest].expires > now:
                return
            self._entries.popitem(last=False)

    def clear(self, key: str) -> None:
        self._entries.pop(key, None)

    def reset(self) -> int:
        count = len(self._entries)
        self._entries.clear()
        return count

    def check(self) -> bool:
        return True

    # The fixed-window strategy is not used here; the library's base class asks for its three methods all the same.

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError

    def get(self, key: str) -> int:
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        raise NotImplementedError
