"""`UsageRecorder`: nothing lost, nothing twice; whatever the disk, the database or the caller's strings do."""

import asyncio
import math
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import select

from main_api.db import Database
from main_api.usage.record import UsageRecord, UsageTotals
from main_api.usage.service import UsageRecorder
from main_api.usage.tables import UsageRow
from shared.errors import Unavailable
from tests.main_api.db.fixtures import sqlite_url


@pytest.fixture
async def recorder(any_db: Database, tmp_path: Path) -> AsyncIterator[UsageRecorder]:
    recorder = UsageRecorder(any_db, folder=tmp_path / "usage", interval_s=0.02)
    yield recorder
    await recorder.aclose()


def call(**changes: object) -> UsageRecord:
    values: dict[str, object] = {"user_id": 1, "model": "local/tiny", "prompt_tokens": 10, "completion_tokens": 5}
    return UsageRecord(**(values | changes))  # type: ignore[arg-type]


async def rows(db: Database) -> list[UsageRow]:
    async with db.session() as session:
        return list((await session.exec(select(UsageRow).order_by(UsageRow.id))).all())


async def calls(db: Database) -> int:
    return sum(row.calls for row in await rows(db))


async def test_a_record_arrives_with_all_its_fields(recorder: UsageRecorder, any_db: Database) -> None:
    at = datetime(2026, 11, 20, 12, 0, 0, 250_000, UTC)
    record = call(key_id=7, agent="react", partial=True, status=499, latency_ms=1234, at=at.timestamp())
    recorder.record(record)
    await recorder.flush()
    (row,) = await rows(any_db)
    stored = row.model_dump()
    assert stored == {
        "id": row.id, "at": at, "user_id": 1, "key_id": 7, "model": "local/tiny", "agent": "react", "calls": 1,
        "prompt_tokens": 10, "completion_tokens": 5, "partial": True, "status": 499, "latency_ms": 1234,
    }  # fmt: skip


async def test_totals_are_sums_by_model(recorder: UsageRecorder) -> None:
    for model in ("b", "a", "b"):
        recorder.record(call(model=model))
    recorder.record(call(user_id=2))
    await recorder.flush()
    assert await recorder.totals(1) == [
        UsageTotals(model="a", calls=1, prompt_tokens=10, completion_tokens=5),
        UsageTotals(model="b", calls=2, prompt_tokens=20, completion_tokens=10),
    ]
    assert await recorder.totals(3) == []


async def test_once_started_it_needs_no_flush(recorder: UsageRecorder, any_db: Database, tmp_path: Path) -> None:
    await recorder.start()
    for _ in range(1200):  # more than two batches
        recorder.record(call())
    async with asyncio.timeout(10):
        while await calls(any_db) < 1200:
            await asyncio.sleep(0.01)
        while list((tmp_path / "usage").iterdir()):
            await asyncio.sleep(0.01)


async def test_closing_writes_everything_down(any_db: Database, tmp_path: Path) -> None:
    recorder = UsageRecorder(any_db, folder=tmp_path / "usage", interval_s=60)
    await recorder.start()
    await asyncio.sleep(0)
    recorder.record(call())
    await recorder.aclose()
    assert await calls(any_db) == 1
    assert list((tmp_path / "usage").iterdir()) == []


async def test_closing_without_a_call_leaves_no_file(db: Database, tmp_path: Path) -> None:
    recorder = UsageRecorder(db, folder=tmp_path / "usage")
    await recorder.start()
    await recorder.aclose()
    assert list(tmp_path.glob("usage/*")) == []


async def test_a_segment_that_is_replayed_is_counted_once(any_db: Database, tmp_path: Path) -> None:
    """As after a crash between the commit and the removal of the segment."""
    folder = tmp_path / "usage"
    recorder = UsageRecorder(any_db, folder=folder)
    recorder.record(call())
    recorder.record(call())
    (segment,) = folder.iterdir()
    content = segment.read_bytes()
    await recorder.flush()
    segment.write_bytes(content)
    await recorder.flush()
    assert await calls(any_db) == 2
    await recorder.aclose()


async def test_what_a_dead_process_left_is_taken_over_at_the_start(db: Database, tmp_path: Path) -> None:
    dead = UsageRecorder(db, folder=tmp_path / "usage")
    dead.record(call())
    dead._journal._close()
    living = UsageRecorder(db, folder=tmp_path / "usage", interval_s=60)
    await living.start()
    async with asyncio.timeout(30):
        while not await rows(db):
            await asyncio.sleep(0.01)
    await living.aclose()


async def test_what_a_living_process_writes_to_is_left_alone(db: Database, tmp_path: Path) -> None:
    first, second = (UsageRecorder(db, folder=tmp_path / "usage") for _ in range(2))
    first.record(call())
    await second.flush()
    assert await rows(db) == []
    first.record(call())
    await first.flush()
    assert await calls(db) == 2
    await first.aclose()
    await second.aclose()


@pytest.mark.parametrize("cut", [1, 20, 100])
async def test_a_torn_last_line_costs_that_line_only(db: Database, tmp_path: Path, cut: int) -> None:
    folder = tmp_path / "usage"
    recorder = UsageRecorder(db, folder=folder)
    recorder.record(call())
    recorder.record(call())
    (segment,) = folder.iterdir()
    os.truncate(segment, segment.stat().st_size - cut)
    await recorder.flush()
    assert await calls(db) == (2 if cut == 1 else 1)  # without its newline the line is still whole
    await recorder.aclose()


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "a\0b"},
        {"model": "\ud800"},
        {"model": "x" * 10_000},
        {"model": "' OR 1=1--"},
        {"agent": "y" * 1000},
        {"prompt_tokens": 2**70},
        {"prompt_tokens": -5, "completion_tokens": -1, "latency_ms": -3},
        {"latency_ms": 2**62},
    ],
    ids=["NUL", "surrogate", "long model", "SQL", "long agent", "huge number", "negative", "long wait"],
)
async def test_what_clients_and_providers_send_never_blocks_the_batch(
    recorder: UsageRecorder, any_db: Database, changes: dict[str, object]
) -> None:
    recorder.record(call(**changes))
    recorder.record(call())
    await recorder.flush()
    stored = await rows(any_db)
    assert await calls(any_db) == 2
    assert all(row.prompt_tokens >= 0 and row.completion_tokens >= 0 and row.latency_ms >= 0 for row in stored)


async def test_a_line_that_makes_no_sense_is_passed_over(recorder: UsageRecorder, any_db: Database) -> None:
    recorder.record(call(at=math.nan))
    recorder.record(call(user_id="1; DROP TABLE usage"))
    recorder.record(call())
    await recorder.flush()
    assert await calls(any_db) == 1


async def test_usage_waits_while_the_database_is_away(db: Database, tmp_path: Path) -> None:
    away = Database("postgresql+asyncpg://nobody@127.0.0.1:9/none")
    recorder = UsageRecorder(away, folder=tmp_path / "usage", interval_s=0.01)
    await recorder.start()
    recorder.record(call())
    with pytest.raises(Unavailable):
        await recorder.flush()
    recorder.record(call())
    await recorder.aclose()
    await away.aclose()
    back = UsageRecorder(db, folder=tmp_path / "usage")
    await back.flush()
    assert await calls(db) == 2
    await back.aclose()


async def test_a_full_disk_breaks_no_call_and_loses_nothing_that_fits_in_memory(db: Database, tmp_path: Path) -> None:
    import resource

    recorder = UsageRecorder(db, folder=tmp_path / "usage")
    recorder.record(call())
    (segment,) = (tmp_path / "usage").iterdir()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # the kernel cuts the next write short and refuses the ones after it, as a full disk does
    resource.setrlimit(resource.RLIMIT_FSIZE, (segment.stat().st_size + 50, old[1]))
    try:
        for _ in range(100):
            recorder.record(call())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)
    recorder.record(call())
    await recorder.flush()
    assert await calls(db) == 102
    await recorder.aclose()


async def test_a_folder_that_cannot_be_made_breaks_no_call(db: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    recorder = UsageRecorder(db, folder=tmp_path / "file" / "usage")
    for _ in range(11_000):
        recorder.record(call())
    (tmp_path / "file").unlink()
    await recorder.flush()
    assert await calls(db) == 10_000  # the newest; memory is bounded
    await recorder.aclose()


async def test_calls_that_differ_only_in_counts_are_one_row(recorder: UsageRecorder, any_db: Database) -> None:
    for tokens in (1, 2, 3):
        recorder.record(call(prompt_tokens=tokens, latency_ms=10))
    recorder.record(call(status=502, partial=True))
    await recorder.flush()
    stored = {row.status: row for row in await rows(any_db)}
    assert (stored[200].calls, stored[200].prompt_tokens, stored[200].latency_ms) == (3, 6, 30)
    assert stored[502].calls == 1


_RECORDING = """
import asyncio, sys
from pathlib import Path
from main_api.db import Database
from main_api.usage.record import UsageRecord
from main_api.usage.service import UsageRecorder
async def main():
    recorder = UsageRecorder(Database(sys.argv[1]), folder=Path(sys.argv[2]), interval_s=0.005)
    await recorder.start()
    for number in range(10**6):
        recorder.record(UsageRecord(user_id=1, model=f"{sys.argv[3]}-{number}"))
        print(f"{sys.argv[3]}-{number}", flush=True)
        if number % 20 == 0:
            await asyncio.sleep(0.001)
asyncio.run(main())
"""


@pytest.mark.slow
async def test_nothing_is_lost_and_nothing_counted_twice_under_kill_9(db: Database, tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for cycle in range(8):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _RECORDING, sqlite_url(tmp_path), str(tmp_path / "usage"), str(cycle),
            stdout=asyncio.subprocess.PIPE, limit=2**24,
        )  # fmt: skip
        assert child.stdout is not None
        acknowledged.append((await child.stdout.readline()).decode().strip())
        reading = asyncio.create_task(child.stdout.read())
        await asyncio.sleep(0.03 + 0.017 * cycle)
        os.kill(child.pid, signal.SIGKILL)
        acknowledged += (await reading).decode().split("\n")[:-1]
        await child.wait()
    last = UsageRecorder(db, folder=tmp_path / "usage")
    await last.flush()
    stored = [row.model for row in await rows(db)]
    assert len(acknowledged) > 200
    assert len(stored) == len(set(stored)), "counted twice"
    assert set(acknowledged) <= set(stored), "lost"
    assert len(stored) - len(acknowledged) <= 8 * 1, "each kill may hide the acknowledgement of one record"
    assert list((tmp_path / "usage").glob("*.jsonl")) == []
    await last.aclose()
