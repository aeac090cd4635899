"""Work ends with the connection that asked for it."""

import asyncio

import pytest
from starlette.types import Message

from shared.disconnect import while_connected
from shared.errors import ClientDisconnected, NotFound


async def stays() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def leaves() -> Message:
    return {"type": "http.disconnect"}


async def test_the_result_of_the_work_is_returned() -> None:
    async def work() -> int:
        return 5

    assert await while_connected(stays, work()) == 5


async def test_an_error_of_the_work_is_raised() -> None:
    async def work() -> int:
        raise NotFound("nothing")

    with pytest.raises(NotFound):
        await while_connected(stays, work())


async def test_a_disconnect_cancels_the_work_and_waits_for_its_end() -> None:
    cleaned = False

    async def work() -> None:
        nonlocal cleaned
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned = True

    with pytest.raises(ClientDisconnected):
        await while_connected(leaves, work())

    assert cleaned


async def test_cancelling_the_whole_cancels_the_work() -> None:
    stopped = asyncio.Event()
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    whole = asyncio.create_task(while_connected(stays, work()))
    await begun.wait()
    whole.cancel()
    await asyncio.gather(whole, return_exceptions=True)

    assert stopped.is_set()
