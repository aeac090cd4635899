"""`RateLimiter` in memory: exact, sliding, bounded, quick."""

import asyncio
import tracemalloc
from time import thread_time

import pytest

from main_api.limits.limit import SIGN_IN_PER_ADDRESS, SIGN_UP_PER_ADDRESS
from main_api.limits.service import RateLimiter
from shared.errors import RateLimited
from tests.yardstick import small_chat_in_json


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def allowed(limiter: RateLimiter, subject: str, hits: int) -> int:
    results = await asyncio.gather(*(limiter.hit_request(subject) for _ in range(hits)), return_exceptions=True)
    assert all(result is None or isinstance(result, RateLimited) for result in results)
    return sum(result is None for result in results)


async def test_of_500_concurrent_requests_exactly_the_quota_of_100_is_allowed() -> None:
    assert await allowed(RateLimiter(requests_per_minute=100), "key:1", 500) == 100


async def test_one_subject_does_not_use_up_the_limit_of_another() -> None:
    limiter = RateLimiter(requests_per_minute=10)
    await allowed(limiter, "key:1", 50)
    assert await allowed(limiter, "key:2", 10) == 10


async def test_the_answer_has_the_shape_of_the_portal_document() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    for _ in range(5):
        await limiter.hit(SIGN_IN_PER_ADDRESS, "198.51.100.7")
    clock.now += 60
    with pytest.raises(RateLimited) as caught:
        await limiter.hit(SIGN_IN_PER_ADDRESS, "198.51.100.7")
    assert caught.value.message == "Rate limit exceeded for 15 minutes. Limit: 5, Current: 6"
    assert caught.value.retry_after == pytest.approx(840, abs=1)
    retry_after = caught.value.retry_after
    assert caught.value.details == {"limitType": "15 minutes", "limit": 5, "current": 6, "retryAfter": retry_after}


async def test_waiting_for_retry_after_is_enough() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    for _ in range(3):
        await limiter.hit(SIGN_UP_PER_ADDRESS, "a")
        clock.now += 100
    with pytest.raises(RateLimited) as caught:
        await limiter.hit(SIGN_UP_PER_ADDRESS, "a")
    assert caught.value.retry_after is not None
    clock.now += caught.value.retry_after
    await limiter.hit(SIGN_UP_PER_ADDRESS, "a")


async def test_refused_hits_do_not_prolong_the_wait() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    for _ in range(3):
        await limiter.hit(SIGN_UP_PER_ADDRESS, "a")
    for _ in range(50):
        clock.now += 60
        with pytest.raises(RateLimited):
            await limiter.hit(SIGN_UP_PER_ADDRESS, "a")
    clock.now += 601
    await limiter.hit(SIGN_UP_PER_ADDRESS, "a")


async def test_no_minute_lets_more_than_the_limit_through_even_across_two_windows() -> None:
    clock = Clock()
    clock.now = 60 * 1000 + 59.9
    limiter = RateLimiter(requests_per_minute=100, clock=clock)
    assert await allowed(limiter, "a", 200) == 100
    clock.now += 0.2
    assert await allowed(limiter, "a", 200) == 0
    clock.now += 30
    assert await allowed(limiter, "a", 200) == 50


async def test_a_pause_of_two_minutes_gives_the_whole_limit_back() -> None:
    clock = Clock()
    limiter = RateLimiter(requests_per_minute=100, clock=clock)
    await allowed(limiter, "a", 100)
    clock.now += 120
    assert await allowed(limiter, "a", 200) == 100


async def test_forgetting_gives_the_whole_limit_back() -> None:
    limiter = RateLimiter()
    for _ in range(3):
        await limiter.hit(SIGN_UP_PER_ADDRESS, "a")
    await limiter.forget(SIGN_UP_PER_ADDRESS, "a")
    await limiter.hit(SIGN_UP_PER_ADDRESS, "a")


async def test_switched_off_it_lets_everything_pass() -> None:
    limiter = RateLimiter(enabled=False, requests_per_minute=1)
    assert await allowed(limiter, "a", 1000) == 1000
    for _ in range(100):
        await limiter.hit(SIGN_UP_PER_ADDRESS, "a")


async def test_memory_stays_bounded_when_addresses_never_repeat() -> None:
    limiter = RateLimiter(max_keys=1000)
    tracemalloc.start()
    for number in range(2000):
        await limiter.hit(SIGN_IN_PER_ADDRESS, f"address {number}")
    before, _ = tracemalloc.get_traced_memory()
    for number in range(6_000):
        await limiter.hit(SIGN_IN_PER_ADDRESS, f"other {number}")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 200_000


async def test_the_busiest_are_not_forgotten_to_make_room() -> None:
    limiter = RateLimiter(max_keys=100, requests_per_minute=10)
    for number in range(1000):
        await limiter.hit_request(f"quiet {number}")
        await allowed(limiter, "busy", 1)
    assert await allowed(limiter, "busy", 1) == 0


async def test_a_hit_on_the_hot_path_costs_less_than_three_small_chats_in_json() -> None:
    limiter = RateLimiter(requests_per_minute=10**9)
    best = 1.0
    for _ in range(5):
        started = thread_time()
        for _ in range(2000):
            await limiter.hit_request("key:1")
        best = min(best, (thread_time() - started) / 2000)
    assert best < 3 * small_chat_in_json()
