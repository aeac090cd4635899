"""Limits of all processes of a run together: processor time, and all of them where there are no control groups."""

from dataclasses import replace

import pytest

from tests.tools_api.sandbox.conftest import LIMITS, Attacker

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

TWELVE_TIMES_200_MB = """
import time
for _ in range(12):
    if os.fork() == 0:
        held = bytearray(os.urandom(1) * (200 << 20)); time.sleep(9); os._exit(0)
time.sleep(9)
"""


async def test_it_meets_the_limit_of_memory_in_sum(watched: Attacker) -> None:
    assert (await watched.run(TWELVE_TIMES_200_MB)).limit == "memory"


async def test_it_stops_empty_files_without_number(watched: Attacker) -> None:
    """Each takes a kilobyte of the kernel that no process's memory shows."""
    outcome = await watched.run("number = 0\nwhile True: os.close(os.open(f'/tmp/{number}', 65)); number += 1")
    assert outcome.limit == "files"


async def test_one_busy_process_meets_the_limit_of_processor_time(watched: Attacker) -> None:
    outcome = await watched.run("while True: pass", limits=replace(LIMITS, cpu_s=0.5))
    assert outcome.limit == "cpu"


async def test_busy_children_meet_it_in_sum(watched: Attacker) -> None:
    await _four_busy_children_meet_the_limit(watched)


async def test_control_groups_meet_it_in_sum_too(attacker: Attacker) -> None:
    await _four_busy_children_meet_the_limit(attacker)


async def _four_busy_children_meet_the_limit(attacker: Attacker) -> None:
    code = "for _ in range(4):\n    if os.fork() == 0:\n        while True: pass\nimport time; time.sleep(9)"
    outcome = await attacker.run(code, limits=replace(LIMITS, cpu_s=0.5))
    assert outcome.limit == "cpu"
