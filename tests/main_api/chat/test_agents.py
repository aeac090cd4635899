"""Which agent answers, with which tools, and who may ask for it."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tests.main_api.served.platform import Platform, platform
from tests.main_api.served.upstream import DONE, Script, chunk, said, stream, usage_chunk

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

MODES = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
OWN_TOOLS = [{"type": "function", "function": {"name": "weather"}}]


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def usual_tools(served: Platform) -> AsyncIterator[None]:
    usual = served.tools.on_invoke
    yield
    served.tools.on_invoke = usual


def computes(served: Platform, model: str) -> Script:
    """A model that calls the calculator once and then answers with what it was told."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        last = body["messages"][-1]
        if last["role"] == "tool":
            return await stream(request, said(f"It is {last['content']}"))
        arguments = '{"expression": "12 * 7"}'
        call = {"index": 0, "id": "call_1", "type": "function"}
        call["function"] = {"name": "calculator", "arguments": arguments}
        frames = [chunk({"tool_calls": [call]}), chunk(finish="tool_calls"), usage_chunk(), DONE]
        return await stream(request, frames)

    return served.upstream.does(model, answer)


async def test_a_plain_chat_uses_no_tools(served: Platform) -> None:
    model = served.model()
    script = served.upstream.says(model, "Hi")
    for key in (served.person, served.program):
        assert (await served.chat(key, model)).text == "Hi"
        assert "tools" not in script.bodies[-1]


@pytest.mark.parametrize(
    "extra",
    [
        {"available_tools": ["calculator"]},
        {"agent_type": "react", "available_tools": ["calculator"]},
        {"agent_type": "react"},
        {"tools": {"enabled": True, "allowedTools": ["calculator"]}},
        {"tools": {"enabled": True}},
        {"tools": {"enabled": True, "maxConcurrentCalls": 3}, "agent_type": "react"},
    ],
    ids=str,
)
async def test_an_agent_computes_with_the_servers_tool(served: Platform, extra: dict[str, Any]) -> None:
    model = served.model()
    script = computes(served, model)
    calls = len(served.tools.bodies)

    answer = await served.chat(served.program, model, **extra)

    assert answer.text == "It is 84"
    assert answer.body["choices"][0]["finish_reason"] == "stop"
    (result,) = answer.body["tool_results"]
    assert (result["tool_name"], result["status"], result["result"]["message"]) == ("calculator", "completed", "84")
    assert result["arguments"] == {"expression": "12 * 7"}
    assert served.tools.bodies[calls]["arguments"] == {"expression": "12 * 7"}
    offered = {tool["function"]["name"] for tool in script.bodies[0]["tools"]}
    named = "allowedTools" in str(extra) or "available_tools" in extra
    assert offered == ({"calculator"} if named else {"calculator", "python_coder"})
    assert answer.body["usage"]["total_tokens"] == 20  # both turns


async def test_an_agents_stream_tells_its_steps_beside_openais_chunks(served: Platform) -> None:
    model = served.model()
    computes(served, model)

    answer = await served.stream(
        served.person, model, available_tools=["calculator"], stream_options={"include_usage": True}
    )

    (called,), (result,) = answer.of_type("tool_call"), answer.of_type("tool_result")
    assert (called["tool_name"], called["choices"]) == ("calculator", [])
    assert called["tool_id"] == result["tool_id"]
    assert (result["status"], result["result"]["message"]) == ("completed", "84")
    assert answer.text == "It is 84"
    assert answer.finish_reasons == ["stop"]
    assert answer.usages[-1]["total_tokens"] == 20
    assert answer.done
    kept = (await served.history(served.person, answer.headers["x-session-id"]))[-1]
    assert (kept["content"], kept["steps"][0]["tool"], kept["steps"][0]["content"]) == ("It is 84", "calculator", "84")


async def test_a_sessions_id_is_the_workspace_of_its_tools(served: Platform) -> None:
    model = served.model()
    computes(served, model)
    kept = await served.chat(served.person, model, available_tools=["calculator"])
    assert served.tools.bodies[-1]["workspace"] == kept.body["session_id"]

    await served.chat(served.person, model, available_tools=["calculator"], store=False)
    assert served.tools.bodies[-1]["workspace"] is None


async def test_tools_learn_for_whom_they_are_called(served: Platform) -> None:
    model = served.model()
    computes(served, model)
    persons: list[str] = []
    for key in (served.person, served.program):
        await served.chat(key, model, available_tools=["calculator"], store=False)
        persons.append(served.tools.bodies[-1]["acting_for"])
    assert all(person.startswith("user-") for person in persons)


async def test_the_request_id_reaches_the_tools(served: Platform) -> None:
    model = served.model()
    computes(served, model)
    body = {"model": f"compatible/{model}", "messages": [{"role": "user", "content": "x"}], "agent_type": "react"}

    answer = await served.call(
        "POST", "/v1/chat/completions", body, key=served.program, headers={"x-request-id": "my-id-1"}
    )

    assert answer.headers["x-request-id"] == "my-id-1"
    assert served.tools.requests[-1].headers["x-request-id"] == "my-id-1"


@pytest.mark.parametrize(
    "extra",
    [
        {"available_tools": []},
        {"tools": {"enabled": False}},
        {"tools": {"enabled": False, "allowedTools": ["calculator"]}},
        {"tools": {"enabled": True, "allowedTools": []}},
        {"agent_type": "chat", "available_tools": ["calculator"]},
        {"agent_type": "react", "available_tools": []},
    ],
    ids=str,
)
async def test_no_tools_means_none(served: Platform, extra: dict[str, Any]) -> None:
    model = served.model()
    script = served.upstream.says(model, "Hi")

    answer = await served.chat(served.program, model, **extra)

    assert answer.text == "Hi"
    assert "tools" not in script.bodies[-1]


REFUSED = [
    ({"agent_type": "react", "tools": OWN_TOOLS}, "tools", "available_tools"),
    ({"available_tools": ["calculator"], "tools": OWN_TOOLS}, "tools", "client"),
    ({"agent_type": "sorcerer"}, "agent_type", "chat, react"),
    ({"agent_type": "plan_execute"}, "agent_type", "not available in this version"),
    ({"agent_type": "auto"}, "agent_type", "not available in this version"),
    ({"available_tools": ["crystal_ball"]}, "available_tools", "calculator, python_coder"),
    ({"tools": {"enabled": True, "allowedTools": ["crystal_ball"]}}, "available_tools", "calculator, python_coder"),
    ({"agent_type": "react", "n": 2}, "n", "one answer"),
    ({"agent_type": "react", "response_format": {"type": "json_object"}}, "response_format", "agent_type chat"),
    ({"agent_type": ""}, "agent_type", "chat, react"),
]


@MODES
@pytest.mark.parametrize(("extra", "param", "words"), REFUSED, ids=[str(row[0]) for row in REFUSED])
async def test_what_contradicts_itself_is_refused_with_what_there_is(
    served: Platform, streamed: bool, extra: dict[str, Any], param: str, words: str
) -> None:
    model = served.model()
    script = served.upstream.says(model, "Hi")

    answer = await served.chat(served.program, model, stream=streamed, **extra)

    assert (answer.status, answer.error["type"], answer.error["param"]) == (400, "invalid_request_error", param)
    assert words in answer.error["message"]
    assert script.bodies == []


async def test_the_model_cannot_reach_a_tool_that_the_caller_did_not_name(served: Platform) -> None:
    model = served.model()
    computes(served, model)
    calls = len(served.tools.bodies)

    answer = await served.chat(served.program, model, available_tools=["python_coder"])

    (result,) = answer.body["tool_results"]
    assert (result["status"], result["result"]["error"]) == ("failed", "unknown_tool")
    assert len(served.tools.bodies) == calls


async def test_a_failing_tool_is_shown_to_the_model_and_the_caller(served: Platform) -> None:
    model = served.model()
    script = computes(served, model)

    async def failing(_request: web.Request) -> web.Response:
        return web.json_response({"ok": False, "error": {"type": "too_large", "message": "That is too large."}})

    served.tools.on_invoke = failing
    answer = await served.chat(served.program, model, available_tools=["calculator"])

    assert answer.status == 200
    (result,) = answer.body["tool_results"]
    assert (result["status"], result["result"]["success"], result["result"]["error"]) == ("failed", False, "too_large")
    assert "too large" in str(script.bodies[-1]["messages"][-1])


@MODES
async def test_a_model_that_fails_before_its_first_word_is_a_real_status(served: Platform, streamed: bool) -> None:
    model = served.model()
    served.upstream.fails(model, 503, {"error": {"message": "busy"}})

    answer = await served.chat(served.person, model, stream=streamed, agent_type="react")

    assert (answer.status, answer.error["code"]) == (503, "service_unavailable")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def toolless(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A platform whose tools API was never there."""
    folder = tmp_path_factory.mktemp("toolless")
    async with platform(folder, tools_host="http://127.0.0.1:9") as running:
        yield running


async def test_without_the_tools_api_a_chat_goes_on_and_says_so(toolless: Platform) -> None:
    model = toolless.model()
    toolless.upstream.says(model, "Hi")

    whole = await toolless.chat(toolless.program, model, agent_type="react")
    streamed = await toolless.stream(toolless.program, model, available_tools=["calculator"])

    assert whole.text == streamed.text == "Hi"
    assert [notice["code"] for notice in whole.body["notices"]] == ["tools_unavailable"]
    assert [notice["code"] for notice in streamed.of_type("notice")] == ["tools_unavailable"]
    assert streamed.done


async def test_without_the_tools_api_health_is_degraded_and_says_what_is_missing(toolless: Platform) -> None:
    answer = await toolless.call("GET", "/health")
    assert answer.status == 200
    assert answer.body["status"] == "degraded"
    assert answer.body["parts"]["tools"]["status"] == "down"
    assert answer.body["parts"]["database"]["status"] == "ok"


async def test_tools_that_went_away_are_a_notice_and_no_failure(served: Platform) -> None:
    model = served.model()
    computes(served, model)

    async def gone(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    served.tools.on_invoke = gone
    answer = await served.stream(served.program, model, available_tools=["calculator"])

    assert [notice["code"] for notice in answer.of_type("notice")] == ["tools_unavailable"]
    assert answer.done


async def test_a_hung_tools_api_does_not_slow_plain_chats_down(served: Platform) -> None:
    agent, plain = served.model(), served.model()
    computes(served, agent)
    served.upstream.says(plain, "Hi")
    usual = await _median(served, plain)
    served.tools.arrived.clear()
    served.tools.on_invoke = served.tools.hang
    agents = [
        asyncio.create_task(served.chat(served.program, agent, available_tools=["calculator"])) for _ in range(20)
    ]
    await served.tools.arrived.wait()

    during = await _median(served, plain)

    assert during < usual * 1.5 + 0.01
    for answer in await asyncio.gather(*agents):  # after DEFAULT_TOOL_TIMEOUT
        assert answer.status == 200
        assert answer.body["tool_results"][0]["result"]["error"] == "timeout"


async def _median(served: Platform, model: str) -> float:
    times = []
    for _ in range(40):
        started = time.perf_counter()
        assert (await served.chat(served.program, model)).status == 200
        times.append(time.perf_counter() - started)
    return sorted(times)[20]


async def service_key(served: Platform) -> str:
    return (served.data_dir / "secrets" / "tools_llm_api_key").read_text().strip()


async def test_the_service_key_may_bring_tools_of_its_own(served: Platform) -> None:
    """A coding agent of the tools API does: its calls come back to it, and nothing of ours is run."""
    model = served.model()
    served.upstream.says(model, "Hi")
    own = {"type": "function", "function": {"name": "execute_bash", "parameters": {"type": "object"}}}
    answer = await served.chat(await service_key(served), model, tools=[own], tool_choice="auto")
    assert (answer.status, answer.text) == (200, "Hi")


async def test_the_service_key_may_ask_for_plain_completions_only(served: Platform) -> None:
    model = served.model()
    served.upstream.says(model, "Hi")
    key = await service_key(served)

    assert (await served.chat(key, model)).text == "Hi"
    assert (await served.stream(key, model)).text == "Hi"
    for extra in (
        {"agent_type": "react"},
        {"available_tools": ["calculator"]},
        {"tools": {"enabled": True}},
        {"store": True},
        {"session_id": "ses_" + "0" * 32},
    ):
        answer = await served.chat(key, model, **extra)
        assert (answer.status, answer.error["type"]) == (403, "permission_error"), extra
    for path in ("/api/chat/sessions", "/api/auth/me", "/api/auth/api-keys", "/v1/models", "/v1/artifacts/x"):
        assert (await served.call("GET", path, key=key)).status == 403, path
    rows = await served.usage(model, calls=2)
    assert {row["user_id"] for row in rows} == {0}


SCOPES = [
    ("chat", {}, 200),
    ("models", {}, 403),
    ("chat", {"agent_type": "react"}, 403),
    ("chat tools", {"agent_type": "react"}, 200),
    ("chat", {"store": True}, 403),
    ("chat", {"session_id": "ses_" + "0" * 32}, 403),
    ("chat sessions", {"store": True}, 200),
]


@pytest.mark.parametrize(("scopes", "extra", "status"), SCOPES, ids=[f"{row[0]} {row[1]}" for row in SCOPES])
async def test_an_api_key_can_do_what_its_scopes_say(
    served: Platform, scopes: str, extra: dict[str, Any], status: int
) -> None:
    model = served.model()
    served.upstream.says(model, "Hi")
    key = await served.new_key(served.person, scopes=scopes.split())

    answer = await served.chat(key, model, **extra)

    assert answer.status == status
    if status == 403:
        assert answer.error["type"] == "permission_error"
