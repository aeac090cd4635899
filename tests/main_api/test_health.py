"""`Health` over fake probes: shape, freshness, patience; and over the real application."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from main_api.health import Health
from shared.errors import Unavailable
from shared.tools_contract import JsonObject
from tests.main_api.served.platform import Platform


class Part:
    """A part that counts how often it is asked."""

    def __init__(self, answer: Callable[[], Awaitable[JsonObject]]) -> None:
        self.asked = 0
        self._answer = answer

    async def __call__(self) -> JsonObject:
        self.asked += 1
        return await self._answer()


async def fine() -> JsonObject:
    return {"loaded": 2}


async def down() -> JsonObject:
    raise Unavailable("The tools API cannot be reached.")


async def hung() -> JsonObject:
    await asyncio.sleep(60)
    raise AssertionError


async def test_all_parts_that_work_are_ok_in_the_portals_shape() -> None:
    report = await Health({"database": Part(fine)}).report()
    assert report.model_dump() == {
        "status": "OK",
        "message": "Server is running",
        "parts": {"database": {"status": "ok", "loaded": 2}},
    }


async def test_a_part_that_is_down_is_named_with_its_reason() -> None:
    report = await Health({"database": Part(fine), "tools": Part(down)}).report()
    assert report.status == "degraded"
    assert report.message == "Server is running without: tools"
    assert report.parts["tools"] == {"status": "down", "reason": "The tools API cannot be reached."}
    assert report.parts["database"]["status"] == "ok"


async def test_a_part_that_hangs_is_waited_for_a_second() -> None:
    """Twenty seconds if it waited for one after the other."""
    async with asyncio.timeout(15):
        report = await Health({"tools": Part(hung), **{f"part {n}": Part(hung) for n in range(19)}}).report()
    assert report.parts["tools"] == {"status": "down", "reason": "no answer"}


async def test_however_many_ask_the_parts_are_asked_once() -> None:
    part = Part(fine)
    health = Health({"database": part})
    await asyncio.gather(*(health.report() for _ in range(100)))
    await health.report()
    assert part.asked == 1


async def test_one_who_leaves_while_asking_does_not_spoil_it_for_the_others() -> None:
    health = Health({"tools": Part(hung)})
    leaving = asyncio.create_task(health.report())
    await asyncio.sleep(0.05)
    leaving.cancel()
    assert (await health.report()).status == "degraded"


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="session")
async def test_the_servers_health_tells_no_versions_and_no_paths(served: Platform) -> None:
    for path in ("/health", "/api/health"):
        answer = await served.call("GET", path)
        assert answer.status == 200
        assert (answer.body["status"], answer.body["message"]) == ("OK", "Server is running")
        assert answer.body["parts"].keys() == {"database", "tools", "engine"}
        for secret in (str(served.data_dir), "127.0.0.1", "sqlite", "version", served.upstream.base_url):
            assert secret not in answer.raw.decode()
