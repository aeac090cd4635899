"""Many agents that call tools at once all finish, and `/health` answers meanwhile."""

import asyncio
import time

import aiohttp
import pytest

from tests.e2e.servers import Twinport

pytestmark = pytest.mark.slow

RUNS = 50


async def test_fifty_react_runs_with_tools_all_finish_while_health_answers(twinport: Twinport) -> None:
    key = twinport.program("crowd")
    waits: list[float] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=240)) as session:
        watcher = asyncio.create_task(_watch_health(session, twinport.url, waits))
        started = time.perf_counter()
        answers = await asyncio.gather(*(_compute(session, twinport.url, key, number) for number in range(RUNS)))
        whole = time.perf_counter() - started
        watcher.cancel()
    for number, (content, tools) in enumerate(answers):
        assert tools >= 1, number
        assert str((number + 2) * 7) in content, number
    assert len(waits) >= 3
    assert max(waits) < whole / 2, "a health check waited for the runs"


async def _compute(session: aiohttp.ClientSession, url: str, key: str, number: int) -> tuple[str, int]:
    body = {
        "model": "auto",
        "agent_type": "react",
        "available_tools": ["calculator"],
        "messages": [{"role": "user", "content": f"Calculate {number + 2} * 7"}],
    }
    headers = {"authorization": f"Bearer {key}"}
    async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        found = await answer.json()
    return found["choices"][0]["message"]["content"], len(found.get("tool_results", []))


async def _watch_health(session: aiohttp.ClientSession, url: str, waits: list[float]) -> None:
    while True:
        started = time.perf_counter()
        async with session.get(f"{url}/health") as answer:
            assert answer.status == 200
        waits.append(time.perf_counter() - started)
        await asyncio.sleep(0.1)
