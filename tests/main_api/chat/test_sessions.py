"""What is kept of a chat, what the model is shown of it, and whose it is."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from tests.main_api.served.platform import Platform
from tests.main_api.served.upstream import DONE, chunk, stream

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

MODES = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


async def said(served: Platform, key: str, session_id: str) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in await served.history(key, session_id)]


@MODES
async def test_a_session_goes_on_and_the_model_sees_it(served: Platform, streamed: bool) -> None:
    model = served.model()
    script = served.upstream.says(model, "Hi")
    first = await served.chat(served.person, model, "I am Ada", stream=streamed)
    session_id = first.headers["x-session-id"]

    second = await served.chat(served.person, model, "Who am I?", stream=streamed, session_id=session_id)

    assert second.headers["x-session-id"] == session_id
    assert script.messages == [("user", "I am Ada"), ("assistant", "Hi"), ("user", "Who am I?")]
    assert await said(served, served.person, session_id) == [
        ("user", "I am Ada"),
        ("assistant", "Hi"),
        ("user", "Who am I?"),
        ("assistant", "Hi"),
    ]


async def test_the_session_is_named_in_header_and_body(served: Platform) -> None:
    model = served.model()
    served.upstream.says(model, "Hi")

    answer = await served.chat(served.person, model)

    assert answer.body["session_id"] == answer.headers["x-session-id"]
    assert answer.body["session_id"].startswith("ses_")


async def test_what_an_answer_was_is_kept_with_it(served: Platform) -> None:
    model = served.model()
    served.upstream.says(model, "Hi")

    answer = await served.chat(served.person, model)

    kept = (await served.history(served.person, answer.body["session_id"]))[-1]
    assert (kept["status"], kept["model"], kept["finish_reason"]) == ("complete", f"compatible/{model}", "stop")
    assert kept["usage"] == {"prompt_tokens": 7, "completion_tokens": 3}
    assert kept["error"] is None


@pytest.mark.parametrize(
    ("who", "extra", "kept"),
    [
        ("person", {}, True),
        ("person", {"store": False}, False),
        ("person", {"store": True}, True),
        ("program", {}, False),
        ("program", {"store": True}, True),
        ("program", {"store": False}, False),
    ],
)
async def test_who_keeps_by_default(served: Platform, who: str, extra: dict[str, Any], kept: bool) -> None:
    model = served.model()
    served.upstream.says(model, "Hi")
    key = getattr(served, who)
    before = (await served.call("GET", "/api/chat/sessions", key=served.person)).body["total"]

    answer = await served.chat(key, model, **extra)

    after = (await served.call("GET", "/api/chat/sessions", key=served.person)).body["total"]
    assert answer.text == "Hi"
    assert ("x-session-id" in answer.headers) == ("session_id" in answer.body) == kept
    assert after - before == int(kept)


async def test_a_person_and_their_program_share_sessions(served: Platform) -> None:
    model = served.model()
    script = served.upstream.says(model, "Hi")
    session_id = (await served.chat(served.person, model, "From the page")).body["session_id"]

    await served.chat(served.program, model, "From the program", session_id=session_id)

    assert script.messages[0] == ("user", "From the page")
    assert len(await served.history(served.person, session_id)) == 4


@MODES
@pytest.mark.parametrize("which", ["another's", "none's", "nonsense"])
async def test_a_session_that_is_not_yours_is_not_there(served: Platform, which: str, streamed: bool) -> None:
    model = served.model()
    script = served.upstream.says(model, "Hi")
    own = (await served.chat(served.person, model)).body["session_id"]
    asked = len(script.bodies)
    session_id = {"another's": own, "none's": "ses_" + "0" * 32, "nonsense": "x"}[which]

    answer = await served.chat(served.stranger, model, session_id=session_id, stream=streamed)

    assert (answer.status, answer.error["code"], answer.error["param"]) == (404, "session_not_found", "session_id")
    assert len(script.bodies) == asked
    assert len(await served.history(served.person, own)) == 2


@pytest.mark.parametrize("session_id", ["../../etc/passwd", "a b", "", "x" * 65, "ses_\u0000", 5, ["ses_1"]])
async def test_what_cannot_be_a_session_id_is_refused(served: Platform, session_id: Any) -> None:
    answer = await served.chat(served.person, served.model(), session_id=session_id)
    assert (answer.status, answer.error["param"]) == (400, "session_id")


async def test_store_false_with_a_session_contradicts_itself(served: Platform) -> None:
    answer = await served.chat(served.person, served.model(), session_id="ses_" + "0" * 32, store=False)
    assert answer.status == 400
    assert "store" in answer.error["message"]


async def test_a_caller_who_carries_the_conversation_is_not_shown_it_twice(served: Platform) -> None:
    """An assistant message among those sent: the stored history is not put in front; only what follows it is kept."""
    model = served.model()
    script = served.upstream.says(model, "Hi")
    session_id = (await served.chat(served.person, model, "One")).body["session_id"]
    carried = [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Two"},
    ]

    await served.chat(served.person, model, carried, session_id=session_id)

    assert script.messages == [(message["role"], message["content"]) for message in carried]
    assert await said(served, served.person, session_id) == [
        ("user", "One"),
        ("assistant", "Hi"),
        ("user", "Two"),
        ("assistant", "Hi"),
    ]


async def test_system_messages_hold_for_a_turn_and_are_not_kept(served: Platform) -> None:
    model = served.model()
    script = served.upstream.says(model, "Hi")
    told = [{"role": "system", "content": "Speak like a pirate"}, {"role": "user", "content": "One"}]
    session_id = (await served.chat(served.person, model, told)).body["session_id"]
    assert script.messages[0] == ("system", "Speak like a pirate")

    developer = [{"role": "user", "content": "Two"}, {"role": "developer", "content": "Now in French"}]
    await served.chat(served.person, model, developer, session_id=session_id)

    assert script.messages == [("developer", "Now in French"), ("user", "One"), ("assistant", "Hi"), ("user", "Two")]
    assert [role for role, _ in await said(served, served.person, session_id)] == ["user", "assistant"] * 2


async def test_client_side_tools_work_across_a_session(served: Platform) -> None:
    model = served.model()
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    script = served.upstream.answers(
        model, message, [chunk({"tool_calls": [{"index": 0, **call}]}), chunk(finish="tool_calls"), DONE]
    )
    tools = [{"type": "function", "function": {"name": "weather"}}]
    session_id = (await served.chat(served.person, model, "Weather?", tools=tools)).body["session_id"]
    served.upstream.says(model, "Rain")

    result = [{"role": "tool", "tool_call_id": "call_1", "content": "12 mm"}]
    answer = await served.chat(served.person, model, result, tools=tools, session_id=session_id)

    assert answer.text == "Rain"
    assert [m["role"] for m in script.bodies[-1]["messages"]] == ["user", "assistant", "tool"]
    assert script.bodies[-1]["messages"][1]["tool_calls"] == [call]
    kept = await served.history(served.person, session_id)
    assert [m["role"] for m in kept] == ["user", "assistant", "tool", "assistant"]
    assert kept[1]["tool_calls"] == [call]


async def test_thoughts_are_kept_but_not_sent_back(served: Platform) -> None:
    model = served.model()
    frames = [chunk({"reasoning_content": "Hm"}), chunk({"content": "Yes"}), chunk(finish="stop"), DONE]
    script = served.upstream.streams(model, *frames)
    session_id = (await served.chat(served.person, model)).body["session_id"]

    await served.chat(served.person, model, "And?", session_id=session_id)

    assert "Hm" not in str(script.bodies[-1]["messages"])
    assert (await served.history(served.person, session_id))[1]["reasoning_content"] == "Hm"


async def test_two_requests_at_once_keep_their_order(served: Platform) -> None:
    model = served.model()
    script = served.upstream.says(model, "Hi")
    session_id = (await served.chat(served.person, model, "zero")).body["session_id"]
    gate = asyncio.Event()

    async def slow(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await gate.wait()
        return await stream(request, [chunk({"content": f"re {body['messages'][-1]['content']}"}, finish="stop"), DONE])

    served.upstream.does(model, slow)
    asking = []
    for number in range(4):
        extra = {"session_id": session_id, "stream": number % 2 == 1}
        asking.append(asyncio.create_task(served.chat(served.person, model, f"q{number}", **extra)))
        await asyncio.sleep(0.05)
    assert len(script.bodies) == 2  # the others wait for their turn
    gate.set()
    await asyncio.gather(*asking)

    texts = [content for _, content in await said(served, served.person, session_id)]
    assert texts == ["zero", "Hi", *(text for n in range(4) for text in (f"q{n}", f"re q{n}"))]
    assert [m["content"] for m in script.bodies[-1]["messages"]] == texts[:-1]


async def test_other_sessions_do_not_wait_for_a_slow_one(served: Platform) -> None:
    slow, quick = served.model(), served.model()
    script = served.upstream.says(slow, "Hi")
    served.upstream.says(quick, "Hi")
    session_id = (await served.chat(served.person, slow)).body["session_id"]
    served.upstream.hangs(slow)
    waiting = asyncio.create_task(served.chat(served.person, slow, session_id=session_id))

    async with asyncio.timeout(30):
        assert (await served.chat(served.person, quick)).text == "Hi"

    waiting.cancel()
    await script.hung_up.wait()


@MODES
async def test_a_long_history_is_cut_and_the_caller_is_told(served: Platform, streamed: bool) -> None:
    """MAX_CONVERSATION_HISTORY is 20 messages."""
    model = served.model()
    script = served.upstream.says(model, "ok")
    session_id = (await served.chat(served.person, model, "q0")).body["session_id"]
    for number in range(1, 11):
        await served.chat(served.person, model, f"q{number}", session_id=session_id)

    system = [{"role": "system", "content": "S"}, {"role": "user", "content": "q11"}]
    extra = {"session_id": session_id}
    if streamed:
        answer = await served.stream(served.person, model, system, **extra)
        notices = answer.of_type("notice")
    else:
        notices = (await served.chat(served.person, model, system, **extra)).body["notices"]

    sent = script.messages
    assert sent[0] == ("system", "S")
    assert sent[1] == ("user", "q2")  # begins with a question, and ends with the new one
    assert sent[-1] == ("user", "q11")
    assert len(sent) == 1 + 19
    assert [notice["code"] for notice in notices] == ["history_trimmed"]
    assert "4 older messages" in notices[0]["message"]
    assert len(await served.history(served.person, session_id)) == 24


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_model_that_finds_the_history_too_long_gets_half_of_it(served: Platform, streamed: bool) -> None:
    model = served.model()

    async def small(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if len(body["messages"]) > 5:
            error = {"message": "too long", "code": "context_length_exceeded"}
            return web.json_response({"error": error}, status=400)
        return await stream(request, [chunk({"content": "ok"}, finish="stop"), DONE])

    script = served.upstream.does(model, small)
    session_id = (await served.chat(served.person, model, "q0")).body["session_id"]
    for number in range(1, 3):
        await served.chat(served.person, model, f"q{number}", session_id=session_id)

    answer = await served.chat(served.person, model, "q3", session_id=session_id, stream=streamed)

    assert answer.status == 200
    assert b"history_trimmed" in answer.raw
    assert script.messages[-1] == ("user", "q3")
    assert len(script.messages) < 7


async def test_too_long_a_question_is_the_callers_error(served: Platform) -> None:
    model = served.model()
    error = {"error": {"message": "too long", "code": "context_length_exceeded"}}
    script = served.upstream.fails(model, 400, error)

    for key in (served.person, served.program):
        answer = await served.stream(key, model)
        assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
    assert len(script.bodies) == 2


async def title_of(served: Platform, session_id: str) -> str | None:
    async with asyncio.timeout(30):
        while True:
            answer = await served.call("GET", "/api/chat/sessions", key=served.person)
            title = next(s["title"] for s in answer.body["sessions"] if s["id"] == session_id)
            if title is not None:
                return title
            await asyncio.sleep(0.02)


async def test_a_session_gets_a_title_from_the_model(served: Platform) -> None:
    model = served.model()
    script = served.upstream.says(model, "Hi")
    script.title = '"Greetings of Ada."\nand more'

    session_id = (await served.chat(served.person, model, "Hello there")).body["session_id"]

    assert await title_of(served, session_id) == "Greetings of Ada"
    assert "Hello there" in str(script.title_bodies)
    await served.chat(served.person, model, "More", session_id=session_id)
    assert len(script.title_bodies) == 1


async def test_a_title_that_no_model_gives_is_the_question(served: Platform) -> None:
    model = served.model()
    script = served.upstream.says(model, "Hi")
    script.title = ""

    session_id = (await served.chat(served.person, model, "How deep is the sea?")).body["session_id"]

    assert await title_of(served, session_id) == "How deep is the sea?"


async def test_a_session_deleted_while_it_is_answered_stays_deleted(served: Platform) -> None:
    model = served.model()
    script = served.upstream.says(model, "Hi")
    session_id = (await served.chat(served.person, model)).body["session_id"]
    gate = asyncio.Event()

    async def slow(request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
        await gate.wait()
        return await stream(request, [chunk({"content": "late"}, finish="stop"), DONE])

    served.upstream.does(model, slow)
    asking = asyncio.create_task(served.chat(served.person, model, session_id=session_id))
    while len(script.bodies) < 2:
        await asyncio.sleep(0.01)
    deleted = await served.call("DELETE", f"/api/chat/sessions/{session_id}", key=served.person)
    gate.set()
    answer = await asking

    assert deleted.status == 204
    assert answer.text == "late"
    assert (await served.call("GET", f"/api/chat/history/{session_id}", key=served.person)).status == 404
