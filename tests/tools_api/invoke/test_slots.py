"""Taking turns: in which order calls run, how many, and who is refused."""

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client import REGISTRY

from shared.errors import RateLimited
from tools_api.invoke.slots import Caller, FairSlots, Shares, ToolSlots

ADA, BOB = Caller("main_api", "ada"), Caller("main_api", "bob")
REPORTS = Caller("reports")


def fair(slots: int = 1, *, running: int = 64, waiting: int = 512) -> FairSlots:
    return FairSlots("sorted", slots, Shares(running=running, waiting=waiting))


class Work:
    """Calls that note when they begin, and go on until they are let."""

    def __init__(self, slots: FairSlots) -> None:
        self.begun: list[Caller] = []
        self.most = 0
        self._slots = slots
        self._running = 0
        self._gate = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def arrive(self, *callers: Caller) -> None:
        """Have one call of each caller arrive, in this order."""
        self._tasks += [asyncio.create_task(self._call(caller)) for caller in callers]
        await settled()

    async def finish(self) -> list[Caller]:
        """Let all go on to their end; return who began, in the order in which they did."""
        self._gate.set()
        await asyncio.gather(*self._tasks)
        return self.begun

    async def _call(self, caller: Caller) -> None:
        async with self._slots.place(caller), self._slots.turn(caller):
            self.begun.append(caller)
            self._running += 1
            self.most = max(self.most, self._running)
            await self._gate.wait()
            self._running -= 1


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def gauge(name: str) -> float:
    return REGISTRY.get_sample_value(f"twinport_tool_calls_{name}", {"tool": "sorted"}) or 0.0


async def order(slots: FairSlots, arrivals: Sequence[Caller]) -> list[Caller]:
    work = Work(slots)
    await work.arrive(*arrivals)
    return await work.finish()


async def test_calls_of_one_caller_begin_in_their_order_and_no_more_than_fit() -> None:
    work = Work(fair(3))
    await work.arrive(*[ADA] * 8)

    assert len(await work.finish()) == 8
    assert work.most == 2, "the last slot is never one caller's alone"


async def test_all_slots_are_used_when_there_are_two_callers() -> None:
    work = Work(fair(3))
    await work.arrive(*[ADA] * 8, *[BOB] * 8)
    await work.finish()

    assert work.most == 3


async def test_the_hundred_calls_of_one_service_delay_anothers_by_one_turn() -> None:
    begun = await order(fair(), [*[ADA] * 100, REPORTS])

    assert begun.index(REPORTS) <= 2
    assert len(begun) == 101


async def test_another_callers_call_begins_at_once_beside_a_hundred() -> None:
    work = Work(fair(2))
    await work.arrive(*[ADA] * 100)
    await work.arrive(REPORTS)

    assert work.begun == [ADA, REPORTS]
    await work.finish()


async def test_a_service_gains_nothing_by_a_hundred_workspaces() -> None:
    workspaces = [Caller("main_api", f"w{number}") for number in range(100)]
    begun = await order(fair(), [*workspaces, REPORTS])

    assert begun.index(REPORTS) <= 2


async def test_the_callers_of_a_service_take_turns() -> None:
    begun = await order(fair(), [*[ADA] * 4, *[BOB] * 2])

    assert begun == [ADA, ADA, BOB, ADA, BOB, ADA], "ada's first ran when bob's came"


async def test_two_lines_that_last_alternate() -> None:
    begun = await order(fair(), [*[ADA] * 5, *[REPORTS] * 5])

    assert [begun[2:8:2], begun[3:8:2]] == [[REPORTS] * 3, [ADA] * 3]


async def test_a_service_has_no_more_than_its_share_at_once() -> None:
    work = Work(fair(8, running=2))
    await work.arrive(*[ADA] * 3, *[BOB] * 3)

    assert len(work.begun) == 2
    await work.arrive(REPORTS)
    assert work.begun[-1] == REPORTS
    await work.finish()
    assert len(work.begun) == 7


async def test_beyond_the_line_a_call_is_refused_with_a_time_to_come_back() -> None:
    slots = fair(2, waiting=0)

    async with slots.place(ADA):
        with pytest.raises(RateLimited) as refused:
            async with slots.place(ADA):
                pass
        async with slots.place(BOB):
            pass

    assert refused.value.retry_after == 1
    async with slots.place(ADA):
        pass


async def test_a_services_line_is_bounded_whatever_its_callers_are_called() -> None:
    slots = fair(1, waiting=0)
    work = Work(slots)
    await work.arrive(*[Caller("main_api", str(number)) for number in range(8)])

    with pytest.raises(RateLimited):
        await order(slots, [Caller("main_api", "one more")])
    async with slots.place(REPORTS):
        pass
    await work.finish()


async def test_one_who_gives_up_waiting_leaves_no_trace() -> None:
    slots = fair(1, waiting=1)
    async with slots.place(ADA), slots.turn(ADA):
        waiting = asyncio.create_task(enter(slots, BOB))
        await settled()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    async with asyncio.timeout(30):
        await enter(slots, REPORTS)
    assert (gauge("waiting"), gauge("running")) == (0, 0)


async def test_one_who_gives_up_when_its_turn_comes_gives_the_slot_back() -> None:
    slots = fair()
    holder = slots.turn(ADA)
    await holder.__aenter__()
    waiting = asyncio.create_task(enter(slots, BOB))
    await settled()
    await holder.__aexit__(None, None, None)  # bob's turn has come, and bob does not know it yet
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert waiting.cancelled()
    async with asyncio.timeout(30):
        await enter(slots, REPORTS)


async def test_who_waits_and_who_runs_is_counted() -> None:
    work = Work(fair(2))
    await work.arrive(*[ADA] * 5)

    assert (gauge("waiting"), gauge("running")) == (4, 1)
    await work.finish()
    assert (gauge("waiting"), gauge("running")) == (0, 0)


async def test_each_tool_has_slots_of_its_own() -> None:
    slots = ToolSlots(Shares(), {"narrow": 1})

    async with slots.of("narrow").turn(ADA), asyncio.timeout(30), slots.of("wide").turn(ADA):
        waiting = asyncio.create_task(enter(slots.of("narrow"), BOB))
        await settled()
        assert not waiting.done()
    await waiting


async def enter(slots: FairSlots, caller: Caller) -> None:
    async with slots.place(caller), slots.turn(caller):
        pass
