"""`UsageRecorder`: notes what each call used, without making the call wait, and loses nothing when the process dies.

A record goes into the journal at once and into the database in batches. A segment of the journal is removed after its
lines are committed; after a crash in between they are inserted again, which changes nothing: see `sum_up`.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from main_api.db import Database
from main_api.usage import store
from main_api.usage.journal import Journal
from main_api.usage.record import JournalLine, UsageRecord, UsageTotals, parse_line, sum_up, to_line
from shared.errors import TwinportError
from shared.logging import get_logger

_log = get_logger("usage")

_BATCH: Final = 500
"""Lines of a transaction. A segment is cut the same way whenever it is read."""


class UsageRecorder:
    """Records usage in `folder` first and in the database every `interval_s` seconds.

    Enter the lifespan with `start` and leave it with `aclose`, which writes everything down. `record` works before,
    between and after: what it took is found by the next start.
    """

    def __init__(
        self,
        db: Database,
        *,
        folder: Path,
        interval_s: float = 1.0,
    ) -> None:
        self._db = db
        self._folder = folder
        self._journal = Journal(folder)
        self._interval_s = interval_s
        self._flushing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def record(self, record: UsageRecord) -> None:
        """Note one call. Never waits, never raises for a full disk; costs a few microseconds."""
        self._journal.append(to_line(record))

    async def start(self) -> None:
        """Begin to move records into the database, with those that an earlier process left first."""
        self._task = asyncio.create_task(self._run(), name="usage")

    async def aclose(self) -> None:
        """Stop, and write down what there is; records that the database does not take stay in the journal."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        with contextlib.suppress(TwinportError, SQLAlchemyError, OSError):
            await self.flush()
        self._journal.close()

    async def flush(self) -> None:
        """Move every record that was taken so far into the database. Raises `Unavailable` or `StorageFull`."""
        async with self._flushing:
            self._journal.rotate()
            for segment in await asyncio.to_thread(lambda: list(self._journal.leftovers())):
                await self._retire(segment)

    async def totals(self, user_id: int) -> list[UsageTotals]:
        """Return the sums of a user by model, as far as they are in the database."""
        async with self._db.session() as db:
            return await store.totals(db, user_id)

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self.flush()
                failures = 0
            except (TwinportError, SQLAlchemyError, OSError) as error:  # the records are safe in the journal
                failures += 1
                _log.error("usage waits for the database", kind=type(error).__name__, failures=failures)
            await asyncio.sleep(min(60.0, self._interval_s * 2 ** min(failures, 6)))

    async def _retire(self, segment: Path) -> None:
        """Insert the lines of a segment, then remove it."""
        with contextlib.suppress(FileNotFoundError):  # another process was quicker; it inserted the same lines
            with segment.open("rb") as file:
                for number in count():
                    lines = await asyncio.to_thread(lambda: list(islice(file, _BATCH)))
                    if not lines:
                        break
                    await self._insert(lines, batch=f"{segment.stem}:{number}")
            await asyncio.to_thread(segment.unlink)

    async def _insert(self, lines: list[bytes], *, batch: str) -> None:
        records = list(_parsed(lines))
        if not records:
            return
        async with self._db.transaction() as db:
            await store.insert(db, sum_up(records, batch=batch))


def _parsed(lines: list[bytes]) -> Iterator[JournalLine]:
    for line in lines:
        record = parse_line(line)
        if record is not None:
            yield record
        elif line.strip():
            _log.error("usage line cannot be read", line=line[:300].decode("utf-8", "replace"))
