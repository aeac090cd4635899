"""Pipes are closed once, by whichever event loop holds them: closed twice, the number is somebody else's file."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

import pytest
import uvloop

from tools_api.sandbox import pipes

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"])
def test_a_closed_transport_has_closed_its_end_once(
    new_loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts what Python closes; libuv closes below it, so a descriptor that is gone without a count is right too."""
    files: list[int] = []
    fdopen = os.fdopen

    def opened(descriptor: int, mode: str, buffering: int, closefd: bool) -> object:
        files.extend([descriptor] if closefd else [])
        return fdopen(descriptor, mode, buffering, closefd=closefd)

    monkeypatch.setattr(pipes.os, "fdopen", opened)

    async def make_and_close() -> list[int]:
        read, their_write = os.pipe()
        their_read, write = os.pipe()
        _, transport = await pipes.reader_of(read)
        writer = await pipes.writer_of(write)
        transport.close()
        writer.close()
        await asyncio.sleep(0.01)
        os.close(their_write)
        os.close(their_read)
        return [read, write]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        ours = runner.run(make_and_close())
    for descriptor in ours:
        with suppress(OSError):
            os.fstat(descriptor)
            pytest.fail(f"{descriptor} is still open")
    assert files == ([] if new_loop is uvloop.new_event_loop else ours)
