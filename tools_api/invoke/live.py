"""What a tool prints while it runs, on its way to a caller who reads as fast or as slowly as it likes.

The tool never waits: a reader that is too slow loses output, which is said in its place, and costs no more memory than
the bound. The result at the end holds what the tool's own limits let it keep, whatever was lost here.
"""

import asyncio
import codecs
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass

from tools_api.invoke.tool import StreamName

_PIECE = 16 * 1024
_MOST_PIECES = 256
_STREAMS: tuple[StreamName, ...] = ("stdout", "stderr")


@dataclass(frozen=True, slots=True)
class OutputPiece:
    """Text as it came, cut anywhere but inside a character."""

    stream: StreamName
    text: str


class LiveOutput:
    """Bytes go in by `write`, text comes out of `pieces`, until `end`. At most `most_bytes` wait to be read."""

    def __init__(self, *, most_bytes: int = 1 << 20) -> None:
        self._room = most_bytes
        self._waiting: deque[tuple[StreamName, bytearray]] = deque()
        self._lost: dict[StreamName, int] = {}
        self._decoders: dict[StreamName, codecs.IncrementalDecoder] = {
            name: codecs.getincrementaldecoder("utf-8")("replace") for name in _STREAMS
        }
        self._stirred = asyncio.Event()
        self._ended = False

    def write(self, stream: StreamName, content: bytes) -> None:
        """Take what fits, count what doesn't."""
        kept = content[: self._room]
        if len(kept) < len(content):
            self._lost[stream] = self._lost.get(stream, 0) + len(content) - len(kept)
        if kept:
            self._room -= len(kept)
            self._add(stream, kept)
        self._stirred.set()

    def end(self) -> None:
        """Say that nothing more will come."""
        self._ended = True
        self._stirred.set()

    async def stirs_within(self, seconds: float) -> None:
        """Wait for the first output or the end, but not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stirred.wait()

    async def pieces(self) -> AsyncGenerator[OutputPiece]:
        """Yield what comes, in its order, to the end."""
        while not self._ended or self._waiting or self._lost:
            await self._stirred.wait()
            self._stirred.clear()
            while self._waiting:
                if (piece := self._next()).text:  # it may be the first half of a character
                    yield piece
            for stream in list(self._lost):
                count = self._lost.pop(stream)
                yield OutputPiece(stream, f"\n[{count} bytes left out here: they came faster than they were read]\n")
        for stream, decoder in self._decoders.items():
            if rest := decoder.decode(b"", final=True):
                yield OutputPiece(stream, rest)

    def _add(self, stream: StreamName, content: bytes) -> None:
        """Join it to what waits, lest many small pieces take more memory than what they hold."""
        latest = self._waiting[-1] if self._waiting else None
        if len(self._waiting) >= _MOST_PIECES:  # the order between the two streams is lost, which says little by now
            latest = next((piece for piece in reversed(self._waiting) if piece[0] == stream), None)
        elif latest and (latest[0] != stream or len(latest[1]) >= _PIECE):
            latest = None
        if latest:
            latest[1].extend(content)
        else:
            self._waiting.append((stream, bytearray(content)))

    def _next(self) -> OutputPiece:
        stream, content = self._waiting.popleft()
        self._room += len(content)
        return OutputPiece(stream, self._decoders[stream].decode(bytes(content)))
