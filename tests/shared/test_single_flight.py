"""One attempt for all who ask at the same time."""

import asyncio

import pytest

from shared.single_flight import SingleFlight


class Attempt:
    """Counts how often it was begun, and ends when it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = 0
        self.cancelled = False
        self.go = asyncio.Event()
        self._error = error

    async def __call__(self) -> int:
        self.begun += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self._error:
            raise self._error
        return self.begun


async def begun(attempt: Attempt) -> None:
    async with asyncio.timeout(30):
        while not attempt.begun:
            await asyncio.sleep(0)


async def test_those_who_ask_at_once_share_an_attempt_and_the_next_starts_another() -> None:
    attempt = Attempt()
    flight = SingleFlight(attempt)
    asking = [asyncio.create_task(flight.result()) for _ in range(5)]
    await begun(attempt)
    attempt.go.set()

    assert await asyncio.gather(*asking) == [1] * 5
    assert await flight.result() == 2


async def test_an_error_reaches_everyone_and_the_next_tries_again() -> None:
    attempt = Attempt(ValueError("no"))
    flight = SingleFlight(attempt)
    asking = [asyncio.create_task(flight.result()) for _ in range(3)]
    await begun(attempt)
    attempt.go.set()

    outcomes = await asyncio.gather(*asking, return_exceptions=True)

    assert [str(outcome) for outcome in outcomes] == ["no"] * 3
    with pytest.raises(ValueError, match="no"):
        await flight.result()
    assert attempt.begun == 2


async def test_one_who_leaves_does_not_stop_it_for_the_others() -> None:
    attempt = Attempt()
    flight = SingleFlight(attempt)
    leaving, staying = asyncio.create_task(flight.result()), asyncio.create_task(flight.result())
    await begun(attempt)

    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    attempt.go.set()

    assert await staying == 1
    assert not attempt.cancelled


async def test_closing_cancels_the_attempt() -> None:
    attempt = Attempt()
    flight = SingleFlight(attempt)
    asking = asyncio.create_task(flight.result())
    await begun(attempt)

    await flight.aclose()
    outcome = (await asyncio.gather(asking, return_exceptions=True))[0]

    assert attempt.cancelled
    assert isinstance(outcome, asyncio.CancelledError)
