"""Read a stream of events to its end, or no longer than a deadline allows, and always close it.

Closing a generator does not close the one it reads from; without `closing`, a caller that leaves would not stop the
model. `asyncio.timeout` around a whole loop would cancel whoever consumes the generator while it is suspended at a
`yield`; so `until` times only the waiting for the next event.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


class TimeIsUp(Exception):
    """Signal to the loop that the deadline has passed; never seen by a caller."""


def deadline_in(seconds: float) -> float:
    """Return the event loop's time `seconds` from now."""
    return asyncio.get_running_loop().time() + seconds


def has_passed(deadline: float) -> bool:
    return asyncio.get_running_loop().time() >= deadline


@asynccontextmanager
async def closing(stream: AsyncIterator[T]) -> AsyncGenerator[AsyncIterator[T], None]:
    """Close a stream at the end of the block, as `contextlib.aclosing`, if it is one that can be closed."""
    try:
        yield stream
    finally:
        if isinstance(stream, AsyncGenerator):  # the Protocols only promise an iterator
            await stream.aclose()


async def until(stream: AsyncIterator[T], deadline: float) -> AsyncIterator[T]:
    """Pass a stream on until the deadline; then close it and raise `TimeIsUp`."""
    async with closing(stream):
        while True:
            timer = asyncio.timeout_at(deadline)
            try:
                async with timer:
                    item = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if timer.expired():
                    raise TimeIsUp from None
                raise
            yield item
