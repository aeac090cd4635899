"""How items are asked and judged, with a model that says what it is told to."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from main_api.agents.prompts import PromptLibrary
from main_api.agents.protocol import Task
from main_api.agents.react_setup import opening
from main_api.backends.protocol import Capabilities, Message
from main_api.bundled_model.evaluation import sets
from main_api.bundled_model.evaluation.asking import Asker
from main_api.bundled_model.evaluation.judgement import ANSWER, DECLINED, EXACT, FITTED, GOALS, RIGHT_TOOL, Judgement
from main_api.bundled_model.evaluation.offered import KNOWN_TOOLS
from main_api.bundled_model.evaluation.report import figures_of
from main_api.bundled_model.evaluation.skills import SKILLS
from main_api.events import ChoiceFinished, ModelEvent, TextDelta, ToolCallDelta
from tools_api.calculator import tool as calculator
from tools_api.python_coder.description import describe_tool
from tools_api.sandbox import Limits

SETS = Path(__file__).parents[3] / "bundled_model" / "sets"
PROMPTS = PromptLibrary(Path(__file__).parents[4] / "prompts")


class ScriptedModel:
    """Says one line after the other; `asked` is what it was shown."""

    name = "scripted"
    capabilities = Capabilities(tool_mode="json_schema", tool_prompt="signature", context_length=1024)

    def __init__(self, *lines: str | list[tuple[str, str]]) -> None:
        self.lines = list(lines)
        self.asked: list[tuple[list[Message], dict[str, Any]]] = []

    async def stream(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[ModelEvent]:
        self.asked.append((list(messages), options))
        line = self.lines.pop(0)
        if isinstance(line, str):
            yield TextDelta(line)
        else:
            for index, (name, arguments) in enumerate(line):
                yield ToolCallDelta(index, f"call_{index}", name, arguments)
        yield ChoiceFinished("stop")


class SilentModel(ScriptedModel):
    """Ends every turn without a word."""

    async def stream(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[ModelEvent]:
        yield ChoiceFinished("stop")


def step(action: str, **action_input: str) -> str:
    return orjson.dumps({"thought": "So be it.", "action": action, "action_input": action_input}).decode()


async def judge(skill: str, line: dict[str, Any], model: ScriptedModel) -> dict[str, Judgement]:
    item = SKILLS[skill].item.model_validate(line)
    judged = await SKILLS[skill].judge(Asker(model, PROMPTS), item)
    return {one.figure: one for one in judged}


async def test_a_call_is_asked_through_the_prompt_of_the_product() -> None:
    model = ScriptedModel(step("calculator", expression="12*7"))

    judged = await judge(
        "calls", {"request": "12 x 7?", "tool": "calculator", "arguments": [{"expression": "12 * 7"}]}, model
    )

    messages, options = model.asked[0]
    task = Task(messages=[{"role": "user", "content": "12 x 7?"}], model=model, tools=KNOWN_TOOLS)
    assert messages == opening(task, KNOWN_TOOLS, PROMPTS)
    assert options["response_format"]["type"] == "json_schema"
    assert all(judged[figure].counts for figure in (RIGHT_TOOL, EXACT, FITTED, "calculator: same value"))


async def test_what_only_the_product_puts_right_is_told_apart() -> None:
    """Free text that the request does not hold is replaced by the request itself."""
    model = ScriptedModel(step("websearch", query="something else"))
    line = {"request": "Who won?", "tool": "websearch", "arguments": [{"query": "Who won"}]}

    judged = await judge("calls", line, model)

    assert (judged[RIGHT_TOOL].counts, judged[EXACT].counts, judged[FITTED].counts) == (True, False, True)


@pytest.mark.parametrize(("code", "right"), [("print(2 + 3)", True), ("print(6)", False), ("print(", False)])
async def test_code_is_right_by_what_it_prints(code: str, *, right: bool) -> None:
    line = {"request": "Add 2 and 3 with Python", "tool": "python_coder", "prints": ["5"]}

    judged = await judge("calls", line, ScriptedModel(step("python_coder", code=code)))

    assert (judged[RIGHT_TOOL].counts, judged[EXACT].counts) == (True, right)


async def test_where_no_tool_fits_an_answer_is_right_and_a_call_is_not() -> None:
    line = {"request": "Hi", "tools": [{"name": "t", "arguments": ["a"], "description": "d"}], "tool": "finish"}

    answered = await judge("unknown_tools", line, ScriptedModel(step("finish", answer="I have no tool for that.")))
    called = await judge("unknown_tools", line, ScriptedModel(step("t", a="Hi")))

    assert answered[RIGHT_TOOL].counts
    assert not called[RIGHT_TOOL].counts


async def test_a_result_is_shown_as_the_product_shows_it() -> None:
    line = {
        "request": "Sort 2 and 1 with Python",
        "tool": "python_coder",
        "arguments": {"code": "print(sorted([2, 1]))"},
        "observation": "[1, 2]",
        "answers": ["The program printed: [1, 2]"],
    }
    model = ScriptedModel(step("calculator"), step("finish", answer="The program printed: [1, 2]"), "Something")

    judged = await judge("observations", line, model)

    shown = model.asked[1][0]
    assert shown[-1] == {"role": "user", "content": "Observation: [1, 2]"}
    assert orjson.loads(shown[-2]["content"])["thought"] == "I use python_coder."
    assert judged[ANSWER].counts
    assert model.asked[2][0][-1]["content"] == "[1, 2]"
    assert not judged[f"{ANSWER}, native calls"].counts


async def test_after_one_error_the_same_call_is_right() -> None:
    line = {
        "request": "3 * 3",
        "tool": "calculator",
        "arguments": {"expression": "3 * 3"},
        "observations": ["Error: busy"],
        "expect": "retry",
    }
    call = step("calculator", expression="3 * 3")

    judged = await judge("failures", line, ScriptedModel(call, call))
    gave_up = await judge("failures", line, ScriptedModel(call, step("finish", answer="The tool failed")))

    assert judged["tries the same call again"].counts
    assert not gave_up["tries the same call again"].counts


async def test_native_calls_may_come_in_any_order() -> None:
    tools = [
        {"type": "function", "function": {"name": "w", "parameters": {"properties": {"city": {"type": "string"}}}}}
    ]
    wanted = [{"name": "w", "arguments": [{"city": city}]} for city in ("Rome", "Oslo")]
    line = {"request": "Weather in Rome and Oslo", "tools": tools, "calls": wanted}

    both = await judge("native", line, ScriptedModel([("w", '{"city": "Oslo"}'), ("w", '{"city": "Rome"}')]))
    twice = await judge("native", line, ScriptedModel([("w", '{"city": "Oslo"}'), ("w", '{"city": "Oslo"}')]))

    assert both[EXACT].counts
    assert (twice[RIGHT_TOOL].counts, twice[EXACT].counts) == (True, False)


async def test_a_plan_is_judged_by_tools_dependencies_and_inputs() -> None:
    line = {
        "request": "Search for bees, then make slides about that",
        "steps": [
            {"tool": "websearch", "needs": [], "input": ["Search for bees"]},
            {"tool": "ppt_maker", "needs": [1]},
        ],
    }
    steps = [
        {"tool": "websearch", "input": "search for bees", "needs": []},
        {"tool": "ppt_maker", "input": "slides on bees", "needs": []},
    ]

    judged = await judge("plans", line, ScriptedModel(orjson.dumps({"steps": steps}).decode()))

    assert judged["right tools in order, 2 parts"].counts
    assert judged["inputs exact where given"].counts
    assert not judged["right tools in order and right dependencies"].counts
    assert not judged["every input copied from the request"].counts


async def test_declining_is_measured_both_ways() -> None:
    refusal = "I am a small built-in model and cannot do that."
    outside = await judge("out_of_scope", {"request": "Write a poem"}, ScriptedModel(refusal, "Roses are red"))
    inside = await judge("in_scope", {"request": "Hi"}, ScriptedModel(step("finish", answer=refusal)))

    assert [one.counts for one in outside.values()] == [True, False]
    assert inside[DECLINED].counts


async def test_a_repeated_question_or_slide_does_not_count() -> None:
    slide = '{"title": "Bees", "bullets": ["What bees are", "Why they matter"]}'
    model = ScriptedModel(*["What are bees?"] * 5, *[slide] * 5)
    item = sets.TopicItem(topic="bees")

    judged = await SKILLS["topics"].judge(Asker(model, PROMPTS), item)

    assert [one.counts for one in judged] == [True, *[False] * 4] * 2
    assert model.asked[1][0][-1]["content"] == "Topic: bees\nAsked so far:\n1. What are bees?"


@pytest.mark.slow
async def test_every_item_can_be_judged_and_every_goal_is_measured() -> None:
    """Also with a model that says nothing at all."""
    asker = Asker(SilentModel(), PROMPTS)
    items = [(skill, item) for skill in SKILLS for item in sets.read(SETS / "everyday", skill, SKILLS[skill].item)]

    judged = [(skill, one) for skill, item in items for one in await SKILLS[skill].judge(asker, item)]

    assert figures_of(judged).keys() >= GOALS.keys()
    assert not any(one.counts for _, one in judged)


def test_the_known_tools_are_shown_as_the_product_shows_them() -> None:
    model = ScriptedModel()
    own = calculator._DEFINITION
    code = KNOWN_TOOLS[3].model_copy(
        update={"description": describe_tool(Limits(), python="3.11", packages=(), sessions=True)}
    )
    task = Task(messages=[], model=model, tools=KNOWN_TOOLS)

    ours = opening(task, KNOWN_TOOLS, PROMPTS)[0]["content"]
    theirs = opening(task, (own, *KNOWN_TOOLS[1:3], code, KNOWN_TOOLS[4]), PROMPTS)[0]["content"]

    assert ours == theirs
