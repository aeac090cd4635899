"""Counts hits in Redis, for all replicas together, through the `limits` library. Fallback is the service's affair."""

import time
from typing import cast

from limits.aio.storage import RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.aio.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter
from redis.asyncio import Redis

from main_api.limits.limit import Limit

_TIMEOUT_S = 1.0


class RedisLimits:
    """Counters that several replicas share; the scripts that count run in Redis, so they are exact.

    Every method raises `limits.errors.StorageError` when Redis does not answer in time.
    """

    def __init__(self, url: str) -> None:
        self._storage = RedisStorage(
            f"async+{url}",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix="twinport:limits",
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )
        self._exact = MovingWindowRateLimiter(self._storage)
        self._counter = SlidingWindowCounterRateLimiter(self._storage)

    async def hit(self, limit: Limit, subject: str) -> bool:
        """Count a hit and return true, or return false and count nothing."""
        return await self._strategy(limit).hit(limit.item, limit.name, subject)

    async def free_in(self, limit: Limit, subject: str) -> float:
        """Return the seconds until the next hit will be allowed."""
        stats = await self._strategy(limit).get_window_stats(limit.item, limit.name, subject)
        return stats.reset_time - time.time()

    async def clear(self, limit: Limit, subject: str) -> None:
        """Forget the hits of `subject`."""
        await self._strategy(limit).clear(limit.item, limit.name, subject)

    async def aclose(self) -> None:
        """Close the connections."""
        client = cast("RedispyBridge", self._storage.bridge).get_connection()
        await cast("Redis", client).aclose()

    def _strategy(self, limit: Limit) -> RateLimiter:
        return self._exact if limit.exact else self._counter
