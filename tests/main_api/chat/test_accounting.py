"""What a call is charged, however it ends."""

from contextlib import suppress
from pathlib import Path

import pytest

from main_api.auth.principal import Principal
from main_api.chat.accounting import Accounting
from main_api.db import Database
from main_api.events import Usage
from main_api.usage.record import UsageRecord
from main_api.usage.service import UsageRecorder
from shared.errors import RateLimited

ADA = Principal(user_id=7, username="ada", role="user", credential="api_key", key_id=3)


class Records(UsageRecorder):
    """Keeps records in a list."""

    def __init__(self, db: Database, folder: Path) -> None:
        super().__init__(db, folder=folder)
        self.seen: list[UsageRecord] = []

    def record(self, record: UsageRecord) -> None:
        self.seen.append(record)


@pytest.fixture
def records(db: Database, tmp_path: Path) -> Records:
    return Records(db, tmp_path)


@pytest.fixture
def accounting(records: Records) -> Accounting:
    return Accounting(records, ADA, model="acme/one", agent="chat")


def charged(records: Records) -> tuple[int, int, bool, int]:
    (record,) = records.seen
    return record.prompt_tokens, record.completion_tokens, record.partial, record.status


def test_a_whole_answer_is_charged_as_the_backend_counted(accounting: Accounting, records: Records) -> None:
    with accounting.run() as entry:
        entry.estimate = 9
        entry.complete(Usage(40, 2))
    assert charged(records) == (40, 2, False, 200)
    assert (records.seen[0].user_id, records.seen[0].key_id, records.seen[0].model) == (7, 3, "acme/one")


@pytest.mark.parametrize("counted", [None, Usage()])
def test_an_answer_that_nobody_counted_is_charged_by_estimate(
    accounting: Accounting, records: Records, counted: Usage | None
) -> None:
    with accounting.run() as entry:
        entry.estimate = 9
        entry.complete(counted)
    assert charged(records) == (0, 9, False, 200)


def test_a_failure_is_charged_what_came_after_the_last_count(accounting: Accounting, records: Records) -> None:
    with suppress(RateLimited), accounting.run() as entry:
        entry.estimate = 5
        entry.reported(Usage(40, 5))
        entry.estimate += 3
        raise RateLimited("Enough.")
    assert charged(records) == (40, 8, True, 429)


def test_a_departure_is_a_499(accounting: Accounting, records: Records) -> None:
    with suppress(GeneratorExit), accounting.run() as entry:
        entry.estimate = 2
        raise GeneratorExit
    assert charged(records) == (0, 2, True, 499)


def test_what_goes_wrong_after_the_end_takes_nothing_back(accounting: Accounting, records: Records) -> None:
    with suppress(GeneratorExit), accounting.run() as entry:
        entry.complete(Usage(1, 1))
        raise GeneratorExit
    assert charged(records) == (1, 1, False, 200)
