"""Turns: one question and its answer at a time on a session, whatever is cancelled or deleted meanwhile."""

import asyncio
from pathlib import Path

import pytest

from main_api.sessions.journal import opened
from main_api.sessions.records import SessionNotFound
from main_api.sessions.service import SessionOptions, SessionService, open_sessions
from main_api.sessions.turns import SessionBusy
from shared.errors import InvalidRequest
from tests.main_api.sessions.conftest import ALICE, BOB


async def ask(sessions: SessionService, question: str, reply: str | None, session_id: str | None = None) -> str:
    async with sessions.turn(ALICE, session_id) as turn:
        await turn.append_user({"role": "user", "content": question})
        if reply is not None:
            await turn.append_assistant({"content": reply}, model="m", finish_reason="stop", usage={"total_tokens": 3})
        return turn.session_id


async def texts(sessions: SessionService, session_id: str) -> list[str]:
    return [entry.text for entry in (await sessions.history(ALICE, session_id)).messages]


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def test_a_conversation_continues_with_its_history(sessions: SessionService) -> None:
    session_id = await ask(sessions, "hello", "hi")
    async with sessions.turn(ALICE, session_id) as turn:
        assert [entry.message for entry in turn.history] == [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "hi"},
        ]
        assert not turn.is_new
        await turn.append_user({"role": "user", "content": "more"})
    answer = (await sessions.history(ALICE, session_id)).messages[1]
    assert (answer.status, answer.model, answer.finish_reason, answer.usage) == (
        "complete",
        "m",
        "stop",
        {"total_tokens": 3},
    )


async def test_a_turn_without_a_message_leaves_no_session(sessions: SessionService, folder: Path) -> None:
    async with sessions.turn(ALICE) as turn:
        assert turn.is_new
    assert (await sessions.list_sessions(ALICE)).total == 0
    assert list(folder.glob("*/*.jsonl")) == []


async def test_two_requests_at_once_keep_the_order_of_their_arrival(sessions: SessionService) -> None:
    session_id = await ask(sessions, "q0", "a0")
    await asyncio.gather(*(ask(sessions, f"q{n}", f"a{n}", session_id) for n in (1, 2, 3)))
    assert await texts(sessions, session_id) == ["q0", "a0", "q1", "a1", "q2", "a2", "q3", "a3"]


async def test_turns_on_different_sessions_do_not_wait_for_each_other(sessions: SessionService) -> None:
    first, second = await ask(sessions, "q", "a"), await ask(sessions, "q", "a")
    async with asyncio.timeout(30), sessions.turn(ALICE, first), sessions.turn(ALICE, second):
        await ask(sessions, "new", "one")


async def test_a_waiting_turn_can_be_cancelled_and_the_next_goes_on(sessions: SessionService) -> None:
    session_id = await ask(sessions, "q0", "a0")
    async with sessions.turn(ALICE, session_id):
        waiting = asyncio.create_task(ask(sessions, "cancelled", "never", session_id))
        behind = asyncio.create_task(ask(sessions, "q1", "a1", session_id))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not behind.done()
    await asyncio.wait_for(behind, 30)
    assert len(sessions._queue) == 0  # pyright: ignore[reportPrivateUsage]
    assert await texts(sessions, session_id) == ["q0", "a0", "q1", "a1"]


async def test_too_many_waiting_turns_are_refused(sessions: SessionService) -> None:
    session_id = await ask(sessions, "q0", "a0")
    async with sessions.turn(ALICE, session_id):
        waiting = [asyncio.create_task(ask(sessions, f"q{n}", f"a{n}", session_id)) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(SessionBusy) as refused:
            await ask(sessions, "one too many", None, session_id)
        assert refused.value.status == 429
    await asyncio.gather(*waiting)
    assert len(await texts(sessions, session_id)) == 8


async def test_no_lock_is_left_behind(sessions: SessionService) -> None:
    for _ in range(20):
        await ask(sessions, "q", "a")
    with pytest.raises(SessionNotFound):
        await ask(sessions, "q", "a", "ses_" + "0" * 32)
    await until(lambda: len(sessions._queue) == 0)  # pyright: ignore[reportPrivateUsage]
    assert sessions._live == {}  # pyright: ignore[reportPrivateUsage]


async def test_a_failing_turn_lets_the_next_one_in(sessions: SessionService) -> None:
    session_id = await ask(sessions, "q0", "a0")

    async def fail() -> None:
        async with sessions.turn(ALICE, session_id) as turn:
            await turn.append_user({"role": "user", "content": "q1"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await ask(sessions, "q2", "a2", session_id)
    history = await sessions.history(ALICE, session_id)
    assert [entry.status for entry in history.messages] == [
        *("complete", "complete", "interrupted", "complete", "complete")
    ]


async def test_a_question_is_pending_while_its_answer_is_made_and_interrupted_after_a_crash(folder: Path) -> None:
    options = SessionOptions(folder=folder)
    async with open_sessions(options) as sessions:
        async with sessions.turn(ALICE) as turn:
            await turn.append_user({"role": "user", "content": "q"})
            assert (await sessions.history(ALICE, turn.session_id)).messages[0].status == "pending"
            async with open_sessions(options) as after_crash:  # another process that finds the same files
                (found,) = (await after_crash.history(ALICE, turn.session_id)).messages
                assert found.status == "interrupted"
            await turn.append_assistant({"content": "a"}, status="partial")
        answered = (await sessions.history(ALICE, turn.session_id)).messages
        assert [entry.status for entry in answered] == ["complete", "partial"]


async def test_a_cancelled_answer_is_still_written_before_the_next_turn_begins(sessions: SessionService) -> None:
    session_id = await ask(sessions, "q0", "a0")
    entered = asyncio.Event()

    async def leave_early() -> None:
        async with sessions.turn(ALICE, session_id) as turn:
            await turn.append_user({"role": "user", "content": "q1"})
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                await turn.append_assistant({"content": "half"}, status="partial")

    leaving = asyncio.create_task(leave_early())
    await entered.wait()
    following = asyncio.create_task(ask(sessions, "q2", "a2", session_id))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    leaving.cancel()  # again, in the middle of its write
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await following
    assert await texts(sessions, session_id) == ["q0", "a0", "q1", "half", "q2", "a2"]


async def test_closing_waits_for_writes_whose_callers_are_gone(folder: Path) -> None:
    async with open_sessions(SessionOptions(folder=folder)) as sessions, sessions.turn(ALICE) as turn:
        session_id = turn.session_id
        writing = asyncio.create_task(turn.append_user({"role": "user", "content": "x" * 1_000_000}))
        await asyncio.sleep(0)
        writing.cancel()
    async with open_sessions(SessionOptions(folder=folder)) as again:
        assert len(await texts(again, session_id)) == 1


async def test_the_next_turn_waits_for_the_write_of_a_turn_that_was_cancelled(
    sessions: SessionService, folder: Path
) -> None:
    session_id = await ask(sessions, "q0", "a0")

    async def write_q1() -> None:
        async with sessions.turn(ALICE, session_id) as turn:
            await turn.append_user({"role": "user", "content": "q1"})

    async def seen_by_the_next() -> list[str]:
        async with sessions.turn(ALICE, session_id) as turn:
            return [entry.text for entry in turn.history]

    with opened(folder / "1" / f"{session_id}.jsonl", sync=False):  # the disk is slow: its lock is taken
        leaving = asyncio.create_task(write_q1())
        await until(lambda: len(sessions._writes) == 1)  # pyright: ignore[reportPrivateUsage]
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        following = asyncio.create_task(seen_by_the_next())
        assert len((await sessions.history(ALICE, session_id)).messages) == 2  # reading goes on meanwhile
        assert len(sessions._writes) == 1  # pyright: ignore[reportPrivateUsage]
    assert await following == ["q0", "a0", "q1"]


async def test_closing_waits_for_a_slow_write(folder: Path) -> None:
    sessions = SessionService(SessionOptions(folder=folder))
    await sessions.start()
    session_id = await ask(sessions, "q0", "a0")
    with opened(folder / "1" / f"{session_id}.jsonl", sync=False):
        deleting = asyncio.create_task(sessions.delete(ALICE, session_id))
        await until(lambda: len(sessions._writes) == 1)  # pyright: ignore[reportPrivateUsage]
        closing = asyncio.create_task(sessions.aclose())
        done, _ = await asyncio.wait([closing], timeout=0.05)
        assert done == set()
    await closing
    await deleting
    assert not (folder / "1" / f"{session_id}.jsonl").exists()


async def test_deleting_during_a_turn_leaves_no_resurrected_session(sessions: SessionService, folder: Path) -> None:
    async with sessions.turn(ALICE) as turn:
        await turn.append_user({"role": "user", "content": "q"})
        await sessions.delete(ALICE, turn.session_id)
        assert await turn.append_assistant({"content": "a"}) is None
        with pytest.raises(SessionNotFound):
            await turn.append_user({"role": "user", "content": "again"})
    assert list(folder.glob("*/*.jsonl")) == []
    assert (await sessions.list_sessions(ALICE)).total == 0
    with pytest.raises(SessionNotFound):
        await sessions.history(ALICE, turn.session_id)


async def test_another_person_can_neither_enter_nor_block_a_session(sessions: SessionService) -> None:
    session_id = await ask(sessions, "q", "a")
    async with sessions.turn(ALICE, session_id), asyncio.timeout(30):
        with pytest.raises(SessionNotFound):
            await sessions.turn(BOB, session_id).__aenter__()
    for attempt in (
        sessions.history(BOB, session_id),
        sessions.rename(BOB, session_id, "x"),
        sessions.delete(BOB, session_id),
        sessions.set_title_if_unset(BOB, session_id, "x"),
    ):
        with pytest.raises(SessionNotFound):
            await attempt


async def test_pages_are_newest_first_and_complete(sessions: SessionService) -> None:
    ids = [await ask(sessions, f"q{n}", "a") for n in range(5)]
    await ask(sessions, "again", "a", ids[0])
    pages = [(await sessions.list_sessions(ALICE, limit=2, offset=offset)).sessions for offset in (0, 2, 4)]
    assert [info.id for page in pages for info in page] == [ids[0], *ids[:0:-1]]
    assert pages[0][0].message_count == 4


async def test_titles_are_made_one_line_and_automatic_ones_never_replace_a_persons(sessions: SessionService) -> None:
    session_id = await ask(sessions, "q", "a")
    assert await sessions.set_title_if_unset(ALICE, session_id, "  Auto\nmatic\x00 ")
    assert (await sessions.history(ALICE, session_id)).info.title == "Auto matic"
    assert await sessions.rename(ALICE, session_id, "Mine " + "x" * 500) == "Mine " + "x" * 195
    assert not await sessions.set_title_if_unset(ALICE, session_id, "Other")
    assert not await sessions.set_title_if_unset(ALICE, session_id, " ")
    with pytest.raises(InvalidRequest):
        await sessions.rename(ALICE, session_id, "\n\x07 ")
