"""Remembers what every backend has, so that finding a model costs a request next to nothing.

A list is good for some seconds, a failure too; callers who find it stale share one attempt, wait for it a bounded
time and go on with what they know, while the attempt itself runs on for the next ones.
"""

import asyncio
import time
from collections.abc import Mapping

from main_api.backends.protocol import Backend, ModelInfo
from shared.errors import TwinportError
from shared.logging import get_logger
from shared.single_flight import SingleFlight

_log = get_logger("catalogue")

Shelf = dict[str, ModelInfo]
"""Models of one backend by their own names, in the backend's order."""


class Catalogue:
    """The lists of all backends. `wait_s` bounds what a request waits, `patience_s` what an attempt may take."""

    def __init__(
        self,
        backends: Mapping[str, Backend],
        *,
        fresh_s: float = 10.0,
        wait_s: float = 1.0,
        patience_s: float = 5.0,
    ) -> None:
        self._wait_s = wait_s
        self._patience_s = patience_s
        self._listings = {
            name: _Listing(backend, fresh_s=fresh_s, patience_s=patience_s) for name, backend in backends.items()
        }

    async def of(self, name: str) -> Shelf | None:
        """Return what a backend has; None: it cannot be reached, or has not answered in time."""
        return await self._listings[name].shelf(self._wait_s)

    async def everything(self, *, patient: bool = False) -> dict[str, Shelf | None]:
        """Ask all backends at once. `patient` waits as long as an attempt may take, for listings people look at."""
        wait_s = self._patience_s if patient else self._wait_s
        shelves = await asyncio.gather(*(listing.shelf(wait_s) for listing in self._listings.values()))
        return dict(zip(self._listings, shelves, strict=True))

    async def aclose(self) -> None:
        """Stop attempts that still run."""
        for listing in self._listings.values():
            await listing.flight.aclose()


class _Listing:
    def __init__(self, backend: Backend, *, fresh_s: float, patience_s: float) -> None:
        self._backend = backend
        self._fresh_s = fresh_s
        self._patience_s = patience_s
        self._shelf: Shelf | None = None
        self._read_at = -fresh_s
        self.flight = SingleFlight(self._read)

    async def shelf(self, wait_s: float) -> Shelf | None:
        if time.monotonic() - self._read_at < self._fresh_s:
            return self._shelf
        try:
            async with asyncio.timeout(wait_s):
                return await self.flight.result()
        except TimeoutError:
            return self._shelf

    async def _read(self) -> Shelf | None:
        try:
            async with asyncio.timeout(self._patience_s):
                models = await self._backend.models()
        except TimeoutError:
            _log.warning("backend skipped: no list in time", backend=self._backend.name)
            self._shelf = None
        except TwinportError as error:
            _log.info("backend skipped", backend=self._backend.name, reason=error.message)
            self._shelf = None
        else:
            self._shelf = {info.id.removeprefix(f"{self._backend.name}/"): info for info in models}
        self._read_at = time.monotonic()
        return self._shelf
