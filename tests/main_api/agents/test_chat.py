"""The chat agent passes one model turn through."""

import pytest

from main_api.agents.chat import ChatAgent
from main_api.agents.collect import collect
from main_api.agents.protocol import Budget
from main_api.events import ChoiceFinished, RunFinished, TextDelta, ToolCallDelta, Usage, UsageReported
from shared.errors import DeadlineExceeded, Unavailable
from tests.main_api.agents.fakes import ScriptedModel, calls, says, task

CHAT = ChatAgent(Budget())


async def test_events_pass_through_and_the_run_ends_with_the_usage():
    model = ScriptedModel(says("Hello there"))
    events = [event async for event in CHAT.run(task(model, "Hi"))]
    assert events[:3] == [TextDelta("Hello"), TextDelta(" ther"), TextDelta("e")]
    assert events[-2:] == [ChoiceFinished("stop"), RunFinished("stop", Usage(10, 5), "scripted")]


async def test_options_and_messages_reach_the_model_untouched():
    messages = [{"role": "system", "content": "{{7*7}}"}, {"role": "user", "content": [{"type": "text", "text": "x"}]}]
    options = {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto", "n": 1, "seed": 3}
    model = ScriptedModel(says("ok"))
    await collect(CHAT.run(task(model, messages=messages, options=options)))
    assert model.asked == [messages]
    assert model.options == [options]


async def test_calls_of_client_side_tools_pass_through():
    model = ScriptedModel(calls(("f", '{"x": 1}'), ("g", "{}")))
    collected = await collect(CHAT.run(task(model)))
    assert collected.finish_reason == "tool_calls"
    assert [(call.id, call.name, call.arguments) for call in collected.choice(0).tool_calls.values()] == [
        ("c0", "f", '{"x": 1}'),
        ("c1", "g", "{}"),
    ]


async def test_several_choices_survive_with_their_own_ends():
    turn = [
        TextDelta("a", 0),
        TextDelta("b", 1),
        TextDelta("A", 0),
        ChoiceFinished("length", 1),
        ChoiceFinished("stop", 0),
        UsageReported(Usage(3, 4)),
    ]
    collected = await collect(CHAT.run(task(ScriptedModel(turn), options={"n": 2})))
    assert [(choice.text, choice.finish_reason) for choice in collected.choices.values()] == [
        ("aA", "stop"),
        ("b", "length"),
    ]
    assert collected.usage == Usage(3, 4)


async def test_an_error_of_the_model_is_raised():
    with pytest.raises(Unavailable):
        await collect(CHAT.run(task(ScriptedModel([Unavailable("no engine")]))))


async def test_a_silent_model_is_given_up_with_a_deadline_error():
    model = ScriptedModel([30.0])
    with pytest.raises(DeadlineExceeded):
        await collect(ChatAgent(Budget(seconds=0.05)).run(task(model)))
    assert model.open_streams == 0


async def test_an_answer_that_outlives_the_budget_is_cut_with_length():
    model = ScriptedModel([TextDelta("begun"), 30.0])
    collected = await collect(ChatAgent(Budget(seconds=0.05)).run(task(model)))
    assert (collected.text, collected.finish_reason) == ("begun", "length")
    assert collected.notices[0].code == "budget_spent"


async def test_closing_the_run_closes_the_model():
    model = ScriptedModel([TextDelta("a"), TextDelta("b"), 30.0])
    run = CHAT.run(task(model))
    assert await anext(run) == TextDelta("a")
    assert model.open_streams == 1
    await run.aclose()
    assert model.open_streams == 0


async def test_a_turn_without_an_end_still_ends_the_run():
    collected = await collect(CHAT.run(task(ScriptedModel([TextDelta("x"), ToolCallDelta(0, "i", "f", "{}")]))))
    assert collected.finish_reason == "stop"
