"""Fairness between services."""

import asyncio

import pytest

from shared.errors import RateLimited
from tools_api.invoke.slots import CallerSlots


async def test_no_more_than_the_limit_run_at_once_and_all_get_their_turn() -> None:
    slots = CallerSlots(running=2, waiting=10)
    running = most = done = 0

    async def work() -> None:
        nonlocal running, most, done
        async with slots.slot("a"):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            done += 1

    await asyncio.gather(*(work() for _ in range(8)))

    assert (most, done) == (2, 8)


async def test_one_service_does_not_wait_for_another() -> None:
    slots = CallerSlots(running=1, waiting=0)

    async with slots.slot("a"), asyncio.timeout(30), slots.slot("b"):
        pass


async def test_beyond_the_line_a_call_is_refused_with_a_time_to_come_back() -> None:
    slots = CallerSlots(running=1, waiting=0)

    async with slots.slot("a"):
        with pytest.raises(RateLimited) as refused:
            async with slots.slot("a"):
                pass

    assert refused.value.retry_after == 1
    async with slots.slot("a"):
        pass


async def test_one_who_gives_up_waiting_leaves_no_trace() -> None:
    slots = CallerSlots(running=1, waiting=1)

    async with slots.slot("a"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), slots.slot("a"):
                pass

    async with asyncio.timeout(30), slots.slot("a"):
        pass
