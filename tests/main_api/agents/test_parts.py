"""The small parts of the agents: arguments, observations, repetition, collecting, titles, the registry."""

import pytest

from main_api.agents.arguments import ArgumentFitter, BadArguments, parse_arguments
from main_api.agents.collect import Collected
from main_api.agents.observations import describe, observation_cap, shortened
from main_api.agents.react import ReactOptions
from main_api.agents.registry import create_agents
from main_api.agents.repetition import LoopWatch, stutters
from main_api.agents.titles import clean_title, title_messages
from main_api.events import PlanMade, TextDelta
from shared.errors import InvalidRequest
from shared.tools_contract import ToolDefinition, ToolError, ToolResult
from tests.main_api.agents.fakes import CALCULATOR, PROMPTS


def fitter(tool=CALCULATOR, *, request="the request", verbatim=False):
    return ArgumentFitter(tool, request=request, verbatim=verbatim)


@pytest.mark.parametrize("value", ["1+1", {"expression": "1+1"}, {"input": "1+1"}, {"expr": "1+1"}])
def test_the_only_argument_is_recognised(value):
    assert fitter().fit(value, seen="") == {"expression": "1+1"}


@pytest.mark.parametrize("value", [None, {}, [], {"expression": 1}, {"expression": "1", "x": 2}, {"a": "1", "b": "2"}])
def test_wrong_arguments_are_explained(value):
    with pytest.raises(BadArguments, match="expression"):
        fitter().fit(value, seen="")


def test_a_tool_with_a_broken_schema_takes_anything():
    tool = ToolDefinition(name="t", description="", parameters={"type": 7})
    assert fitter(tool).fit({"x": 1}, seen="") == {"x": 1}


@pytest.mark.parametrize("written", ["[1]", "12", '"x"'])
def test_arguments_that_are_no_object_are_left_to_the_tools_schema(written):
    assert parse_arguments(written) is not None


def test_an_observation_tells_errors_and_files():
    failed = ToolResult(ok=False, content="Traceback", error=ToolError(type="x", message="boom"))
    assert describe(failed, cap=100) == "Error: boom\nTraceback"
    assert describe(ToolResult(ok=True), cap=100) == "(no output)"


def test_an_observation_takes_a_quarter_of_a_small_window():
    assert observation_cap(12_000, None) == 12_000
    assert observation_cap(12_000, 1024) == 768
    assert observation_cap(12_000, 100) == 400


@pytest.mark.parametrize("length", [0, 99, 100, 101, 150, 10_000])
def test_a_shortened_text_is_never_longer_than_its_cap(length):
    short = shortened("x" * length, 100)
    assert len(short) <= 100
    assert length <= 100 or f"[… {length - short.count('x')} characters left out …]" in short


@pytest.mark.parametrize(
    ("request_", "expression"),
    [
        ("Calculate 25 * 7", "25 * 7"),
        ("what's (83 - 19)/4 please", "(83 - 19)/4"),
        ("1,240 × 38?", "1240 * 38"),
        ("Our invoice: what is 19% of 4,320?", "19% of 4320"),
        ("2^10+sqrt(144)", "2**10+sqrt(144)"),
        ("12 * 7 and 3 + 4", "25% of 7"),
        ("nine times eight", "25% of 7"),
        ("half of 274", "25% of 7"),
    ],
)
def test_a_model_that_copies_gets_the_only_calculation_as_it_is_written(request_, expression):
    fitted = fitter(request=request_, verbatim=True).fit({"expression": "25% of 7"}, seen=request_)
    assert fitted == {"expression": expression}
    assert fitter(request=request_).fit({"expression": "25% of 7"}, seen="") == {"expression": "25% of 7"}


def test_only_the_first_calculation_is_taken_from_the_request():
    fit = fitter(request="12 * 7, and divide that by 4", verbatim=True).fit
    assert [fit({"expression": text}, seen="")["expression"] for text in ("12 * 77", "84 / 4", "12 * 77")] == [
        "12 * 7",
        "84 / 4",
        "12 * 7",
    ]


def test_more_than_the_written_calculation_is_kept():
    fitted = fitter(request="12 * 7, halved", verbatim=True).fit({"expression": "(12*7) / 2"}, seen="")
    assert fitted == {"expression": "(12*7) / 2"}


@pytest.mark.parametrize("unit", ["6", "a math  ", " ", "15, ", "and so on and on, "])
def test_a_loop_is_noticed(unit):
    watch = LoopWatch(lambda: "")
    assert any(watch.loops(unit) for _ in range(400))


@pytest.mark.parametrize(
    "text",
    ["-" * 500, "| --- " * 90, "=" * 200, "".join(f"{n}: a line of a list\n" for n in range(300)), "ha" * 20],
)
def test_rules_lists_and_short_repetitions_are_no_loop(text):
    watch = LoopWatch(lambda: "")
    assert not any(watch.loops(char) for char in text)


def test_a_stutter_is_a_short_unit_several_times():
    assert stutters("It is 0." + "6" * 24)
    assert not stutters("It is a normal sentence without any stutter.")


def test_collecting_joins_logprobs_and_keeps_the_plan():
    collected = Collected()
    collected.add(TextDelta("a", logprobs={"content": [1], "refusal": None}))
    collected.add(TextDelta("b", logprobs={"content": [2], "refusal": None}))
    collected.add(PlanMade(("one", "two")))
    assert collected.choice(0).logprobs == {"content": [1, 2], "refusal": None}
    assert (collected.text, collected.plan, collected.finished) == ("ab", ("one", "two"), False)


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ('"Red pandas."', "Red pandas"),
        ("\n**Title: Red pandas**\nmore", "Red pandas"),
        ("", "Search for red pandas"),
        ("x" * 200, "X" + "x" * 78 + "…"),
        ("red pandas", "Red pandas"),
        ("https://example.org is down", "https://example.org is down"),
    ],
)
def test_a_title_is_one_short_line(said, title):
    assert clean_title(said, request="Search for\nred pandas") == title


def test_a_title_is_asked_for_with_the_beginnings_only():
    system, user = title_messages(PROMPTS, request="a {{7*7}} " + "x" * 5000, answer="b")
    assert "title" in system["content"]
    assert user["content"].startswith("User: a {{7*7}} x")
    assert len(user["content"]) < 900


def test_known_agents_are_returned():
    agents = create_agents(PROMPTS, ReactOptions())
    assert agents.get("react") is not agents.get("chat")


@pytest.mark.parametrize(
    ("name", "said"),
    [("auto", "not available in this version"), ("plan_execute", "not available in this version"), ("x", "not exist")],
)
def test_other_agents_are_refused_with_those_that_exist(name, said):
    with pytest.raises(InvalidRequest, match=f"{said}; use one of: chat, react") as caught:
        create_agents(PROMPTS, ReactOptions()).get(name)
    assert caught.value.param == "agent_type"
