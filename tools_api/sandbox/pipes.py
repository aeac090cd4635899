"""Pipes between the service and what it starts."""

import asyncio
import contextlib
import errno
import os


def pipe_holding(content: bytes, stack: contextlib.ExitStack) -> int:
    """Return a descriptor from which `content` can be read once. Raises `OSError` for more than a pipe holds."""
    read, write = os.pipe()
    stack.callback(os.close, read)
    os.set_blocking(write, False)
    try:
        if os.write(write, content) < len(content):
            raise OSError(errno.EFBIG, "too much for a pipe")
    finally:
        os.close(write)
    return read


async def reader_of(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    """Read a pipe; the transport closes it at its end."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    file = os.fdopen(descriptor, "rb", 0, closefd=_closes_files(loop))
    transport, _ = await loop.connect_read_pipe(lambda: _ClosingAtTheEnd(reader), file)
    return reader, transport


async def writer_of(descriptor: int) -> asyncio.StreamWriter:
    """Write to a pipe."""
    loop = asyncio.get_running_loop()
    file = os.fdopen(descriptor, "wb", 0, closefd=_closes_files(loop))
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()),  # for its flow control; nothing is read
        file,
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)


def _closes_files(loop: asyncio.AbstractEventLoop) -> bool:
    """Say whether closing the file is all that a transport of this loop does to close a pipe.

    uvloop closes the descriptor and then the file; in between the number may have become another thread's.
    """
    return not type(loop).__module__.startswith("uvloop")


class _ClosingAtTheEnd(asyncio.StreamReaderProtocol):
    """Has the transport close a pipe that was read to its end; with the base class uvloop keeps it for ever."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False
