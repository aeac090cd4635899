"""Counts hits in this process, with the strategies of the `limits` library. Nothing here waits."""

import time
from collections.abc import Callable

from limits.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter

from main_api.limits.limit import Limit
from main_api.limits.memory import BoundedMemoryStorage


class LocalLimits:
    """Counters of this process alone; the counterpart of `RedisLimits`."""

    def __init__(self, *, max_keys: int, clock: Callable[[], float]) -> None:
        storage = BoundedMemoryStorage(max_keys=max_keys, clock=clock)
        self._clock = clock
        self._exact = MovingWindowRateLimiter(storage)
        self._counter = SlidingWindowCounterRateLimiter(storage)

    def hit(self, limit: Limit, subject: str) -> bool:
        """Count a hit and return true, or return false and count nothing."""
        return self._strategy(limit).hit(limit.item, limit.name, subject)

    def free_in(self, limit: Limit, subject: str) -> float:
        """Return the seconds until the next hit will be allowed."""
        stats = self._strategy(limit).get_window_stats(limit.item, limit.name, subject)
        # the log's times are the storage's, the counter's are added to the wall clock by the library
        return stats.reset_time - (self._clock() if limit.exact else time.time())

    def clear(self, limit: Limit, subject: str) -> None:
        """Forget the hits of `subject`."""
        self._strategy(limit).clear(limit.item, limit.name, subject)

    def _strategy(self, limit: Limit) -> RateLimiter:
        return self._exact if limit.exact else self._counter
