"""`EventStreamResponse` at its ASGI seam: the first frame, heartbeats, readers that do not read, endings."""

import asyncio
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

import pytest

from shared.errors import TwinportError, UpstreamFailed
from shared.sse import EventStreamResponse, Pace, ServerStops

Message = MutableMapping[str, Any]


class Caller:
    """The other side of the connection. `reads` False: it takes `takes` messages and then nothing more."""

    def __init__(self, *, takes: int | None = None) -> None:
        self.messages: list[Message] = []
        self.leaves = asyncio.Event()
        self.refused = 0
        self._takes = takes

    async def receive(self) -> Message:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._takes is not None and len(self.messages) >= self._takes:
            self.refused += 1
            await asyncio.Event().wait()
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def ended(self) -> bool:
        return self.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


class Frames:
    """A source of frames that notes when it is closed."""

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.closed = False

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, bytes):
                    yield step
                else:
                    await asyncio.sleep(step)
        finally:
            self.closed = True


def response(frames: Frames, **pace: float) -> EventStreamResponse:
    def failure(error: TwinportError) -> bytes:
        return f"!{error.code} {error.message}".encode()

    return EventStreamResponse(
        frames(), headers=lambda: {"x-session-id": "ses_1"}, render_failure=failure, pace=Pace(**pace)
    )


async def run(frames: Frames, caller: Caller, **pace: float) -> None:
    async with asyncio.timeout(30):
        await response(frames, **pace)({"type": "http"}, caller.receive, caller.send)


async def test_frames_go_out_after_the_headers() -> None:
    caller, frames = Caller(), Frames(b"a", b"b")
    await run(frames, caller)
    assert caller.messages[0]["status"] == 200
    assert (b"x-session-id", b"ses_1") in caller.messages[0]["headers"]
    assert caller.body == b"ab"
    assert caller.ended
    assert frames.closed


async def test_a_failure_before_the_first_frame_is_raised() -> None:
    caller = Caller()
    with pytest.raises(UpstreamFailed):
        await run(Frames(UpstreamFailed("no")), caller)
    assert caller.messages == []


async def test_a_failure_after_the_first_frame_is_the_last_frame() -> None:
    caller = Caller()
    await run(Frames(b"a", UpstreamFailed("no")), caller)
    assert caller.body == b"a!upstream_error no"
    assert caller.ended


async def test_a_bug_after_the_first_frame_says_nothing_of_itself() -> None:
    caller = Caller()
    await run(Frames(b"a", ValueError("secret")), caller)
    assert caller.body == b"a!internal_error The server failed while answering."


async def test_silence_is_filled_with_comments() -> None:
    caller = Caller()
    await run(Frames(b"a", 0.18, b"b"), caller, heartbeat_s=0.05)
    assert caller.body.startswith(b"a: ping\n\n")
    assert caller.body.endswith(b"b")
    assert 2 <= caller.body.count(b": ping\n\n") <= 4


async def test_a_busy_stream_needs_no_heartbeats() -> None:
    caller = Caller()
    await run(Frames(*[step for _ in range(10) for step in (b"x", 0.02)]), caller, heartbeat_s=0.1)
    assert b"ping" not in caller.body


async def test_a_caller_who_leaves_ends_the_source() -> None:
    caller, frames = Caller(), Frames(b"a", 60)
    asyncio.get_running_loop().call_later(0.1, caller.leaves.set)
    await run(frames, caller)
    assert frames.closed


async def test_a_caller_who_leaves_before_the_first_frame_ends_the_source() -> None:
    caller, frames = Caller(), Frames(60)
    asyncio.get_running_loop().call_later(0.1, caller.leaves.set)
    with pytest.raises(TwinportError) as caught:
        await run(frames, caller)
    assert caught.value.status == 499
    assert frames.closed
    assert caller.messages == []


@pytest.mark.parametrize("takes", [1, 2, 5])
async def test_a_reader_that_does_not_read_is_given_up_once(takes: int) -> None:
    caller, frames = Caller(takes=takes), Frames(*[b"x"] * 10, 60)
    await run(frames, caller, write_timeout_s=0.1)
    assert frames.closed
    assert (len(caller.messages), caller.refused) == (takes, 1)


async def test_a_server_that_stops_says_so_and_ends_the_stream() -> None:
    caller, frames = Caller(), Frames(b"a", 60)
    running = asyncio.create_task(run(frames, caller))
    await asyncio.sleep(0.05)
    running.cancel()
    await running
    assert caller.body.startswith(b"a!service_unavailable The server stops")
    assert caller.ended
    assert frames.closed


async def test_a_server_that_stops_before_the_first_frame_answers_503() -> None:
    frames = Frames(60)
    running = asyncio.create_task(run(frames, Caller()))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(ServerStops) as caught:
        await running
    assert caught.value.status == 503
    assert frames.closed


async def test_a_server_that_stops_does_not_wait_long_for_a_reader_that_does_not_read() -> None:
    caller, frames = Caller(takes=2), Frames(b"a", 60)
    running = asyncio.create_task(run(frames, caller))
    await asyncio.sleep(0.05)
    running.cancel()
    async with asyncio.timeout(30):
        await running
    assert frames.closed
