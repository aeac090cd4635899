"""ReAct in JSON steps and in plain text."""

import json

import pytest

from main_api.agents.step_schema import step_schema
from main_api.backends.protocol import Capabilities
from main_api.events import ReasoningDelta, TextDelta
from shared.errors import InvalidRequest
from shared.tools_contract import ToolDefinition, ToolError, ToolResult
from tests.main_api.agents.fakes import (
    CALCULATOR,
    SEARCH,
    FakeToolbox,
    ScriptedModel,
    answer,
    react,
    says,
    task,
)

STEPS = Capabilities(tool_mode="json_schema")
SMALL = Capabilities(tool_mode="json_schema", tool_prompt="signature", context_length=1024)
TEXT = Capabilities(tool_mode="text")


def step(action, action_input, thought="Thinking."):
    return json.dumps({"thought": thought, "action": action, "action_input": action_input}, ensure_ascii=False)


CALL = step("calculator", {"expression": "12 * 7"})
FINISH = step("finish", {"answer": "It is 84."}, "Done.")


def model(*turns, capabilities=STEPS):
    return ScriptedModel(*[says(turn) if isinstance(turn, str) else turn for turn in turns], capabilities=capabilities)


async def test_steps_are_constrained_and_observations_go_back_as_the_user():
    asked = model(CALL, FINISH)
    toolbox = FakeToolbox("84")
    collected = await answer(task(asked, toolbox=toolbox))
    assert toolbox.calls == [("calculator", {"expression": "12 * 7"})]
    assert (collected.text, collected.reasoning) == ("It is 84.", "Thinking.\nDone.")
    assert asked.asked[1][-2:] == [
        {"role": "assistant", "content": CALL},
        {"role": "user", "content": "Observation: 84"},
    ]
    options = asked.options[0]
    assert options["temperature"] == 0
    variants = options["response_format"]["json_schema"]["schema"]["anyOf"]
    assert [variant["properties"]["action"]["const"] for variant in variants] == [
        "calculator",
        "python_coder",
        "finish",
    ]
    assert list(variants[0]["properties"]) == ["thought", "action", "action_input"]
    assert variants[0]["properties"]["action_input"] == CALCULATOR.parameters


async def test_a_temperature_of_the_caller_is_kept():
    asked = model(FINISH)
    await answer(task(asked, options={"temperature": 0.7}))
    assert asked.options[0]["temperature"] == 0.7


async def test_the_answer_is_streamed_while_the_json_is_written():
    text = 'Zeile 1\nsagt "ja" \\ und 😀'
    written = json.dumps({"thought": "t", "action": "finish", "action_input": {"answer": text}})
    turn = says(written, size=1)
    events = [event async for event in react().run(task(model(turn)))]
    pieces = [event.text for event in events if isinstance(event, TextDelta)]
    assert "".join(pieces) == text
    assert len(pieces) > 15
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "t"


async def test_an_argument_named_answer_is_not_taken_for_the_answer():
    tool = ToolDefinition(
        name="quiz",
        description="Check.",
        parameters={"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
    )
    collected = await answer(task(model(step("quiz", {"answer": "secret"}), FINISH), tools=(tool,)))
    assert collected.text == "It is 84."


async def test_a_backend_that_refuses_the_schema_is_asked_without_it():
    asked = model([InvalidRequest("no grammar")], f"```json\n{CALL}\n```", FINISH)
    collected = await answer(task(asked))
    assert ["response_format" in options for options in asked.options] == [True, False, False]
    assert collected.text == "It is 84."


async def test_a_wrong_request_is_still_refused():
    with pytest.raises(InvalidRequest):
        await answer(task(model([InvalidRequest("too long")], [InvalidRequest("too long")])))


async def test_a_step_cut_by_max_tokens_is_asked_for_again():
    asked = model(says(CALL[:40], finish="length"), FINISH)
    collected = await answer(task(asked))
    assert asked.asked[1][-1]["content"].startswith("Error: Your step was cut off")
    assert collected.text == "It is 84."


async def test_an_answer_cut_by_max_tokens_is_what_there_is():
    collected = await answer(task(model(says(FINISH[:-6], finish="length"))))
    assert (collected.text, collected.finish_reason) == ("It is ", "length")


async def test_a_looping_argument_is_stopped_and_two_of_them_end_the_run():
    loop = '{"thought": "t", "action": "python_coder", "action_input": {"code": "' + "a math  " * 500
    asked = model(loop, loop, FINISH)
    collected = await answer(task(asked))
    assert "repeated itself" in asked.asked[1][-1]["content"]
    assert len(asked.asked[1][-2]["content"]) <= 200
    assert collected.notices[0].code == "model_stuck"
    assert collected.text == "It is 84."


async def test_little_of_a_looping_answer_is_seen_and_the_result_is_told():
    loop = '{"thought": "t", "action": "finish", "action_input": {"answer": "It is 52.' + "6" * 900
    collected = await answer(task(model(CALL, loop), toolbox=FakeToolbox("52.666666667")))
    assert collected.finish_reason == "length"
    assert len(collected.text) < 120
    assert collected.text.endswith("The result of calculator was: 52.666666667)")


async def test_a_long_number_that_was_given_is_no_loop():
    number = "1" + "0" * 300
    done = step("finish", {"answer": f"It is {number}."})
    collected = await answer(task(model(CALL, done), toolbox=FakeToolbox(number)))
    assert collected.text == f"It is {number}."


async def test_an_empty_answer_is_asked_for_again():
    asked = model(step("finish", {"answer": ""}), FINISH)
    collected = await answer(task(asked))
    assert "its answer was empty" in asked.asked[1][-1]["content"]
    assert collected.text == "It is 84."


async def test_the_last_turn_can_only_finish():
    asked = model(CALL, FINISH)
    collected = await answer(task(asked), steps=1)
    variants = asked.options[1]["response_format"]["json_schema"]["schema"]["anyOf"]
    assert [variant["properties"]["action"]["const"] for variant in variants] == ["finish"]
    assert "cannot call any more tools" in asked.asked[1][-1]["content"]
    assert (collected.text, collected.finish_reason) == ("It is 84.", "length")


async def test_options_without_meaning_in_steps_are_left_out_and_named():
    asked = model(FINISH)
    collected = await answer(task(asked, options={"stop": ["}"], "logprobs": True, "seed": 1}))
    assert collected.notices[0].details == ["stop", "logprobs"]
    assert asked.options[0].keys() == {"temperature", "seed", "response_format"}


async def test_a_small_model_gets_signatures_the_bare_request_and_a_bound():
    history = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Calculate 12 * 7"},
        {"role": "assistant", "content": "The result is 84."},
        {"role": "user", "content": "and times 3?"},
    ]
    asked = model(FINISH, capabilities=SMALL)
    collected = await answer(task(asked, messages=history, tools=(CALCULATOR, SEARCH)))
    system, *shown = asked.asked[0]
    assert "- calculator(expression): Calculate a mathematical expression exactly.\n" in system["content"]
    assert "- websearch(query): Search the web.\n" in system["content"]
    assert system["content"].startswith("Be kind.\n\n")
    assert shown == history[3:]
    assert [notice.code for notice in collected.notices] == ["history_trimmed"]
    assert asked.options[0]["max_tokens"] == 256


async def test_a_small_model_chooses_among_the_tools_that_the_request_speaks_of_and_must_call_one_first():
    lamp = ToolDefinition(name="switch_lamp", description="Switch a lamp on or off.", parameters={"type": "object"})
    door = ToolDefinition(name="open_door", description="Open a door.", parameters={"type": "object"})
    asked = model(step("switch_lamp", {}), FINISH, capabilities=SMALL)
    toolbox = FakeToolbox("on")
    await answer(task(asked, "The lamp, please!", toolbox=toolbox, tools=(lamp, door, CALCULATOR)))
    first, second = (options["response_format"]["json_schema"]["schema"]["anyOf"] for options in asked.options)
    assert [variant["properties"]["action"]["const"] for variant in first] == ["switch_lamp"]
    assert [variant["properties"]["action"]["const"] for variant in second] == ["switch_lamp", "finish"]
    assert "open_door" not in asked.asked[0][0]["content"]


async def test_a_signature_has_the_required_arguments_and_no_examples():
    asked = model(FINISH, capabilities=SMALL)
    await answer(task(asked))
    listed = [line for line in asked.asked[0][0]["content"].splitlines() if line.startswith("- ")]
    assert listed == [
        "- calculator(expression): Calculate a mathematical expression exactly.",
        "- python_coder(code): Run Python 3.11 code in a fresh, isolated sandbox.",
    ]


async def test_a_small_model_without_a_result_is_not_asked_for_a_last_answer():
    async def fail(_name, _arguments):
        return ToolResult(ok=False, error=ToolError(type="x", message="off"))

    asked = model(CALL, capabilities=SMALL)
    collected = await answer(task(asked, toolbox=FakeToolbox(fail)), steps=1)
    assert len(asked.asked) == 1
    assert "calculator: Error: off" in collected.text


async def test_a_small_models_invented_query_becomes_the_request():
    asked = model(step("websearch", {"query": "blue whales"}), FINISH, capabilities=SMALL)
    toolbox = FakeToolbox()
    await answer(task(asked, "Search for red pandas", toolbox=toolbox, tools=(SEARCH,)))
    assert toolbox.calls == [("websearch", {"query": "Search for red pandas"})]


async def test_a_small_models_copied_query_stays():
    asked = model(step("websearch", {"query": "Red Pandas"}), FINISH, capabilities=SMALL)
    toolbox = FakeToolbox()
    await answer(task(asked, "Search for red pandas", toolbox=toolbox, tools=(SEARCH,)))
    assert toolbox.calls == [("websearch", {"query": "Red Pandas"})]


async def test_a_large_model_may_word_its_query_but_not_leave_it_empty():
    toolbox = FakeToolbox()
    asked = model(step("websearch", {"query": "ailurus"}), step("websearch", {"query": " "}), FINISH)
    await answer(task(asked, "Search for red pandas", toolbox=toolbox, tools=(SEARCH,)))
    assert [call[1]["query"] for call in toolbox.calls] == ["ailurus", "Search for red pandas"]


async def test_code_and_expressions_are_never_replaced():
    toolbox = FakeToolbox()
    asked = model(step("calculator", {"expression": "1/3"}), FINISH, capabilities=SMALL)
    await answer(task(asked, "A third of one", toolbox=toolbox))
    assert toolbox.calls == [("calculator", {"expression": "1/3"})]


async def test_old_steps_are_left_out_when_the_window_is_small():
    turns = [step("calculator", {"expression": f"{n} + 1"}) for n in range(6)]
    asked = model(*turns, FINISH, capabilities=SMALL)
    await answer(task(asked, "Count on", toolbox=FakeToolbox("x" * 700)), steps=9)
    sizes = [sum(len(message["content"]) for message in messages) for messages in asked.asked]
    assert max(sizes) < 1024 * 3
    assert asked.asked[-1][-2]["content"] == turns[-1]
    assert asked.asked[-1][1] == {"role": "user", "content": "Count on"}


def test_definitions_of_a_tools_schema_move_to_the_root():
    tool = ToolDefinition(
        name="t",
        description="",
        parameters={
            "type": "object",
            "properties": {"p": {"$ref": "#/$defs/P"}, "l": {"type": "array", "items": {"$ref": "#/$defs/P"}}},
            "$defs": {"P": {"type": "object", "properties": {"child": {"$ref": "#/$defs/P"}}}},
        },
    )
    schema = step_schema([tool])
    arguments = schema["anyOf"][0]["properties"]["action_input"]
    assert arguments["properties"]["l"]["items"] == {"$ref": "#/$defs/t.P"}
    assert schema["$defs"]["t.P"]["properties"]["child"] == {"$ref": "#/$defs/t.P"}


async def test_text_steps_are_read_and_stop_before_an_invented_observation():
    asked = model(
        'Thought: compute\nAction: Calculator\nAction Input: {"expression": "12 * 7"}\nObservation: 85',
        "Thought: done\nFinal Answer: It is 84.\nReally.",
        capabilities=TEXT,
    )
    toolbox = FakeToolbox("84")
    collected = await answer(task(asked, toolbox=toolbox))
    assert toolbox.calls == [("calculator", {"expression": "12 * 7"})]
    assert asked.options[0]["stop"] == ["\nObservation:"]
    assert asked.asked[1][-1] == {"role": "user", "content": "Observation: 84"}
    assert (collected.text, collected.reasoning) == ("It is 84.\nReally.", "compute\ndone")


async def test_a_plain_reply_in_text_mode_is_the_answer():
    collected = await answer(task(model("Hello, how can I help?", capabilities=TEXT)))
    assert collected.text == "Hello, how can I help?"


async def test_text_mode_gives_a_last_answer_too():
    asked = model("Action: calculator\nAction Input: 12 * 7", "Final Answer: 84", capabilities=TEXT)
    toolbox = FakeToolbox()
    collected = await answer(task(asked, toolbox=toolbox), steps=1)
    assert toolbox.calls == [("calculator", {"expression": "12 * 7"})]
    assert (collected.text, collected.finish_reason) == ("84", "length")
