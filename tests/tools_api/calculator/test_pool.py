"""Real worker processes: what a runaway, a death and a departure do to the calls that follow."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from tools_api.calculator.pool import WorkerLost, WorkerPool
from tools_api.calculator.tool import Calculator
from tools_api.invoke.tool import ToolCall

LONG = "sin(10**78000) + sin(10**77999) + sin(10**77998) + sin(10**77997) + sin(10**77996)"  # over 1 s, and legal


pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(limit_s=0.3) as pool:
        yield pool


def call(expression: str) -> ToolCall:
    return ToolCall(arguments={"expression": expression}, workspace=Path("/nowhere"), timeout_s=5, caller="test")


async def test_an_overrunning_evaluation_is_killed_and_the_spare_answers_at_once(pool: WorkerPool) -> None:
    await asyncio.gather(pool.evaluate("1"), pool.evaluate("1"))  # both are warm
    before = set(pool.pids())

    with pytest.raises(TimeoutError):
        await pool.evaluate(LONG)
    reply = await pool.evaluate("1 + 1")

    assert reply["text"] == "2"
    assert pool._starting, "the spare answered before the replacement was ready"
    async with asyncio.timeout(10):
        while len(set(pool.pids()) - before) < 1 or len(pool.pids()) < 2:
            await asyncio.sleep(0.02)


async def test_a_killed_worker_is_a_clear_failure_and_is_replaced(pool: WorkerPool) -> None:
    await pool.evaluate("1")
    asking = asyncio.gather(pool.evaluate(LONG), pool.evaluate(LONG), return_exceptions=True)
    await asyncio.sleep(0.05)
    for pid in pool.pids():
        psutil.Process(pid).kill()

    outcomes = await asking

    assert any(isinstance(outcome, WorkerLost) for outcome in outcomes)
    async with asyncio.timeout(10):
        assert (await pool.evaluate("2 + 2"))["text"] == "4"


async def test_a_cancelled_evaluation_stops_its_process() -> None:
    async with WorkerPool(size=1, limit_s=3600) as pool:
        await pool.evaluate("1")
        (pid,) = pool.pids()
        evaluating = asyncio.create_task(pool.evaluate(LONG))
        await asyncio.sleep(0.05)

        evaluating.cancel()
        await asyncio.gather(evaluating, return_exceptions=True)

        async with asyncio.timeout(10):
            while psutil.pid_exists(pid):
                await asyncio.sleep(0.01)


async def test_workers_have_a_memory_limit_and_none_of_the_servers_environment(
    pool: WorkerPool,
) -> None:
    await pool.evaluate("1")

    worker = psutil.Process(pool.pids()[0])

    assert worker.rlimit(psutil.RLIMIT_AS)[1] <= 1024**3
    assert set(worker.environ()) <= {"PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANG", "LC_CTYPE"}


async def test_leaving_ends_every_worker() -> None:
    async with WorkerPool() as pool:
        await pool.evaluate("1")
        pids = pool.pids()

    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_the_tool_answers_text_data_and_what_it_cost(pool: WorkerPool) -> None:
    output = await Calculator(pool).run(call("1/3"))

    assert output.content == "0.333333333333333"
    assert output.data == {"expression": "1/3", "exact": "1/3", "decimal": "0.333333333333333", "unit": None}
    assert output.receipt.cpu_s > 0
    assert output.receipt.peak_memory_bytes > 10 * 1024 * 1024


async def test_the_tool_tells_an_overrun_and_a_mistake_apart(pool: WorkerPool) -> None:
    calculator = Calculator(pool)

    overrun = (await calculator.run(call(LONG))).error
    mistake = (await calculator.run(call("1/0"))).error

    assert overrun is not None
    assert mistake is not None
    assert (overrun.type, mistake.type) == ("timeout", "undefined")


async def test_a_warm_call_takes_less_than_a_fiftieth_of_a_cold_one() -> None:
    seconds: list[float] = []
    async with WorkerPool(size=1) as pool:
        for _ in range(101):
            started = time.perf_counter()
            await pool.evaluate("2**8 + sqrt(16) * pi")
            seconds.append(time.perf_counter() - started)
    cold, *warm = seconds

    assert statistics.median(warm) < cold / 50
