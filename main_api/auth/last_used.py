"""When each API key was last used: noted on every request in memory, written down every few seconds.

A killed process loses the last seconds, and nothing else depends on them.
"""

import asyncio
import contextlib
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from main_api.auth import store
from main_api.db import Database
from shared.errors import TwinportError
from shared.logging import get_logger

_log = get_logger("auth")


class LastUsed:
    """Enter the lifespan with `start` and leave it with `aclose`, which writes down what is left."""

    def __init__(self, db: Database, *, interval_s: float = 2.0) -> None:
        self._db = db
        self._interval_s = interval_s
        self._used: dict[int, datetime] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, key_id: int) -> None:
        """Note that a key is used now."""
        self._used[key_id] = datetime.now(UTC)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="last-used")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        with contextlib.suppress(TwinportError, SQLAlchemyError):
            await self.flush()

    async def flush(self) -> None:
        """Write down what was noted. Raises `Unavailable` or `StorageFull`."""
        if not self._used:
            return
        used, self._used = self._used, {}
        try:
            async with self._db.transaction() as db:
                await store.touch_api_keys(db, used)
        except (TwinportError, SQLAlchemyError):
            self._used = used | self._used  # for the next time
            raise

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.flush()
            except (TwinportError, SQLAlchemyError) as error:
                _log.error("last use of API keys waits for the database", kind=type(error).__name__)
