"""The frames that pass between the listener inside a sandbox and the relay outside: kind, exchange, length, content.

A request is one frame; its answer is a head, any number of pieces, and an end. What comes from inside is hostile: a
length is checked before anything of its size is read. `inside/launch.py` has the other half.
"""

import asyncio
import struct
from dataclasses import dataclass

REQUEST, CANCEL, HEAD, DATA, END, BROKEN = range(1, 7)
"""From inside: `REQUEST` (method NUL path NUL body) and `CANCEL`. From outside: `HEAD` (status NUL media type), `DATA`,
then `END`, or `BROKEN` if the answer is not whole."""
MAX_PIECE = 1 << 16
_HEADER = struct.Struct("!BII")


class Garbage(Exception):
    """What came is no frame that the other side may send."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request of the agent, or of whatever else runs beside it."""

    exchange: int
    method: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Cancel:
    """The client inside has gone; nobody waits for the answer."""

    exchange: int


async def read_frame(reader: asyncio.StreamReader, *, max_request: int) -> Request | Cancel | None:
    """Read the next frame; None at the end. Raises `Garbage`."""
    try:
        header = await reader.readexactly(_HEADER.size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Garbage("a frame broke off") from None
        return None
    kind, exchange, length = _HEADER.unpack(header)
    if length > max_request:
        raise Garbage("a frame is too long")
    try:
        content = await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        raise Garbage("a frame broke off") from None
    if kind == CANCEL and not content:
        return Cancel(exchange)
    if kind == REQUEST:
        return _request(exchange, content)
    raise Garbage("a frame is of no known kind")


def encode_frame(kind: int, exchange: int, content: bytes = b"") -> bytes:
    """Encode a frame of the answer."""
    return _HEADER.pack(kind, exchange, len(content)) + content


def _request(exchange: int, content: bytes) -> Request:
    try:
        method, path, body = content.split(b"\0", 2)
        return Request(exchange, method.decode("ascii"), path.decode("ascii"), body)
    except ValueError:
        raise Garbage("a request has no method and path") from None
