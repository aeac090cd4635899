"""How retrieval stands: opened in the background, tried again when that fails, closed in order.

The other tools never wait for it and never fail with it. What it is built from is `tools_api/rag/open.py`'s.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal

from shared.errors import TwinportError, Unavailable
from shared.logging import get_logger
from tools_api.rag.parts import Parts

_log = get_logger("rag")

_PATIENCE_S = 15.0
"""How long a call waits for parts that are being opened: imports and a first migration take seconds."""
_RETRY_S = (1.0, 60.0)
"""Pause after the first failure, doubled after each further one up to the second figure."""

OpenParts = Callable[[], AbstractAsyncContextManager[Parts]]
State = Literal["idle", "opening", "open", "failed"]


class RagUnavailable(Unavailable):
    """Retrieval cannot be used now; everything else of this process can."""

    code = "rag_unavailable"


@dataclass(frozen=True, slots=True)
class Standing:
    """`idle`: nobody has needed it yet. `reason` says what is wrong, without paths or addresses of this machine."""

    state: State
    reason: str | None = None


class Retrieval:
    """Opens the parts with `open_parts` when somebody needs them, or at once with `start`, and holds them open."""

    def __init__(self, open_parts: OpenParts, *, patience_s: float = _PATIENCE_S, retry_s: float = _RETRY_S[0]) -> None:
        self._open_parts = open_parts
        self._patience_s = patience_s
        self._retry_s = retry_s
        self._parts: Parts | None = None
        self._standing = Standing("idle")
        self._keeper: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._settled = asyncio.Event()
        """Set while an attempt has ended: the parts are open, or it failed."""

    @property
    def standing(self) -> Standing:
        return self._standing

    def start(self) -> None:
        """Open the parts in the background, unless that was begun."""
        if self._keeper is None and not self._closing.is_set():
            self._standing = Standing("opening")
            self._keeper = asyncio.create_task(self._keep_open())

    async def parts(self) -> Parts:
        """Return the parts, waiting while they are opened. Raises `RagUnavailable`."""
        self.start()
        if self._parts is None and not self._closing.is_set():
            await asyncio.wait({waiting := asyncio.create_task(self._settled.wait())}, timeout=self._patience_s)
            waiting.cancel()
        if self._parts is None:
            raise RagUnavailable(f"Retrieval cannot be used now: {self._why}.", retry_after=5)
        return self._parts

    async def aclose(self) -> None:
        """Close the parts; nothing opens them again."""
        self._closing.set()
        self._settled.set()
        if self._keeper is not None:
            await self._keeper

    @property
    def _why(self) -> str:
        if self._closing.is_set():
            return "the server stops"
        return self._standing.reason or "it is being started"

    async def _keep_open(self) -> None:
        pause_s = self._retry_s
        while not self._closing.is_set():
            attempt = asyncio.create_task(self._hold())
            await asyncio.wait({attempt})
            self._parts = None
            if (error := attempt.exception()) is None:
                return
            self._note(error)
            await self._pause(pause_s)
            pause_s = min(2 * pause_s, _RETRY_S[1])

    async def _hold(self) -> None:
        started = time.perf_counter()
        async with self._open_parts() as parts:
            self._parts, self._standing = parts, Standing("open")
            self._settled.set()
            _log.info("rag_open", ms=round((time.perf_counter() - started) * 1000))
            await self._closing.wait()

    async def _pause(self, seconds: float) -> None:
        waiting = asyncio.create_task(self._closing.wait())
        await asyncio.wait({waiting}, timeout=seconds)
        waiting.cancel()

    def _note(self, error: BaseException) -> None:
        self._standing = Standing("failed", _reason(error))
        self._settled.set()
        _log.error("rag_failed", reason=self._standing.reason, exc_info=error)


def _reason(error: BaseException) -> str:
    """Say what is wrong in words for callers; the log has the rest."""
    if isinstance(error, TwinportError):
        return error.message.rstrip(".")
    if isinstance(error, ImportError):
        return f"the package {error.name or 'that it needs'} is missing or broken on this machine"
    if isinstance(error, OSError):
        return f"its files cannot be used ({error.strerror or type(error).__name__})"
    return "it could not be started; the log of the tools API says why"
