"""Rate limits: how many calls of what kind one subject may make, in this process or, over Redis, in all of them.

Who the subject is (an API key, an account, an address) is decided by the caller. When Redis does not answer, each
process counts for itself until it does: for that time an attacker gains a factor of the number of replicas, and nobody
gets an error.
"""

import time
from collections.abc import Callable

from limits.errors import StorageError

from main_api.limits.limit import Limit, limit_exceeded, per_minute
from main_api.limits.local import LocalLimits
from shared.logging import get_logger

_log = get_logger("limits")

_REDIS_PAUSE_S = 5.0
"""How long Redis is left alone after a failure, so that a dead one delays one call and not each."""


class RateLimiter:
    """Counts hits and raises `RateLimited` when there are too many.

    `requests_per_minute` is the limit of the hot path, `max_keys` bounds the memory, `enabled=False` lets all pass.
    `clock` counts seconds and never goes back. Use it from one event loop.
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        redis_url: str | None = None,
        requests_per_minute: int = 600,
        max_keys: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._enabled = enabled
        self._requests = per_minute(requests_per_minute)
        self._clock = clock
        self._local = LocalLimits(max_keys=max_keys, clock=clock)
        self._redis = None
        self._redis_back_at = 0.0
        if redis_url and enabled:
            from main_api.limits.redis import RedisLimits

            self._redis = RedisLimits(redis_url)

    async def hit_request(self, subject: str) -> None:
        """Count one request of an API key or account against the limit per minute; the hot path."""
        await self.hit(self._requests, subject)

    async def hit(self, limit: Limit, subject: str) -> None:
        """Count one hit against `limit`. A refused one raises `RateLimited` and is not counted."""
        if not self._enabled:
            return
        free_in = self._hit_local(limit, subject) if self._redis is None else await self._hit_redis(limit, subject)
        if free_in is not None:
            raise limit_exceeded(limit, free_in)

    async def forget(self, limit: Limit, subject: str) -> None:
        """Take back every hit of `subject` against `limit`."""
        self._local.clear(limit, subject)
        if self._redis is None or self._clock() < self._redis_back_at:
            return
        try:
            await self._redis.clear(limit, subject)
        except StorageError as error:
            self._pause_redis(error)

    async def aclose(self) -> None:
        """Close the connections to Redis, if there are any."""
        if self._redis is not None:
            await self._redis.aclose()

    def _hit_local(self, limit: Limit, subject: str) -> float | None:
        """Return None if the hit is allowed, else the seconds until the next one will be."""
        return None if self._local.hit(limit, subject) else self._local.free_in(limit, subject)

    async def _hit_redis(self, limit: Limit, subject: str) -> float | None:
        if self._redis is None or self._clock() < self._redis_back_at:
            return self._hit_local(limit, subject)
        try:
            return None if await self._redis.hit(limit, subject) else await self._redis.free_in(limit, subject)
        except StorageError as error:
            self._pause_redis(error)
            return self._hit_local(limit, subject)

    def _pause_redis(self, error: StorageError) -> None:
        self._redis_back_at = self._clock() + _REDIS_PAUSE_S
        kind = type(error.storage_error).__name__
        _log.error("redis failed; each process counts for itself", kind=kind, pause_s=_REDIS_PAUSE_S)
