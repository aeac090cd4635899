"""Steps are understood however a model wrote them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from main_api.agents.step_parser import Step, parse_step, tagged_calls

TOOLS = ("calculator", "python_coder")
CALLED = ("calculator", {"expression": "1+1"})


@pytest.mark.parametrize(
    "text",
    [
        '{"thought": "t", "action": "calculator", "action_input": {"expression": "1+1"}}',
        '```json\n{"thought": "t", "action": "calculator", "action_input": {"expression": "1+1"}}\n```',
        'Sure!\n```\n{"action": "calculator", "action_input": {"expression": "1+1"}}\n```\nI hope this helps.',
        '{"thought": "t", "action": "calculator", "action_input": {"expression": "1+1"}} and then some',
        '{"thought": "t", "action": "calculator", "action_input": {"expression": "1+1"}',
        "{'action': 'calculator', 'action_input': {'expression': '1+1',}}",
        '{"action": "calculator", "action_input": "{\\"expression\\": \\"1+1\\"}"}',
        '{"tool": "calculator", "arguments": {"expression": "1+1"}}',
        '{"name": "calculator", "arguments": {"expression": "1+1"}}',
        '{"function": {"name": "calculator", "arguments": {"expression": "1+1"}}}',
        '<tool_call>\n{"name": "calculator", "arguments": {"expression": "1+1"}}\n</tool_call>',
        'Thought: t\nAction: calculator\nAction Input: {"expression": "1+1"}',
        '**Thought:** t\n**Action:** `calculator`\n**Action Input:** ```json\n{"expression": "1+1"}\n```',
        'thought: t\naction: calculator\naction_input: {"expression": "1+1"}\nObservation: 2\nFinal Answer: 2',
        'I will compute.\nAction: calculator\nAction Input: {"expression": "1+1"}\n\nThought: next\nAction: other',
        '<think>hm</think>\nAction: calculator\nAction Input: {"expression": "1+1"}',
    ],
)
def test_a_call_is_read_from(text):
    step = parse_step(text, TOOLS)
    assert (step.action, step.action_input) == CALLED
    assert step.answer is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Action: calculator\nAction Input: 1+1", "1+1"),
        ('Action: calculator\nAction Input: "1+1"', "1+1"),
        ('Action: calculator("1+1")', "1+1"),
        ("Action: calculator\nAction Input:\n```python\nprint(1)\nprint(2)\n```", "print(1)\nprint(2)"),
    ],
)
def test_a_bare_input_is_kept_as_text(text, value):
    step = parse_step(text, TOOLS)
    assert (step.action, step.action_input) == ("calculator", value)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"thought": "t", "action": "finish", "action_input": {"answer": "two"}}', "two"),
        ('{"thought": "t", "action": "Final Answer", "action_input": "two"}', "two"),
        ('{"action": "finish", "answer": "two"}', "two"),
        ('{"answer": "two"}', "two"),
        ("Thought: t\nFinal Answer: two\nlines", "two\nlines"),
        ("Final Answer: two\nObservation: no", "two"),
        ("Action: finish\nAction Input: two", "two"),
        ("two", "two"),
        ("", ""),
        ("Action:", "Action:"),
        ('{"name": "Ada", "arguments": {}}', '{"name": "Ada", "arguments": {}}'),
        ('Here it is: {"a": 1}', 'Here it is: {"a": 1}'),
        ("<think>secret</think>two", "two"),
    ],
)
def test_an_answer_is_read_from(text, answer):
    step = parse_step(text, TOOLS)
    assert step.action is None
    assert step.answer == answer


def test_thinking_becomes_the_thought():
    assert parse_step("<think>a</think>Thought: b\nFinal Answer: c", TOOLS) == Step(thought="a\nb", answer="c")


def test_an_unknown_tool_in_our_format_is_still_a_call():
    assert parse_step('{"action": "fly", "action_input": {}}', TOOLS).action == "fly"


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=400))
def test_any_text_is_a_step_of_one_kind(text):
    step = parse_step(text, TOOLS)
    assert (step.action is None) != (step.answer is None)


@settings(deadline=None)  # the machine may be busy
@given(
    st.text(max_size=30),
    st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), st.text(max_size=20), min_size=1),
)
def test_what_was_written_as_a_step_is_read_back(thought, arguments):
    text = json.dumps({"thought": thought, "action": "calculator", "action_input": arguments})
    step = parse_step(text, TOOLS)
    assert (step.action, step.action_input) == ("calculator", arguments)


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(
        st.sampled_from(["Thought:", "Action:", "Action Input:", "Final Answer:", "{", "}", '"', "```", "\n", "x"])
    )
)
def test_fragments_of_steps_never_raise(parts):
    parse_step(" ".join(parts), TOOLS)


def test_a_deep_nest_of_brackets_is_no_trouble():
    assert parse_step('{"action":' * 5000, TOOLS).action is None
    assert parse_step('{"a":' * 100_000, TOOLS).answer is not None


def test_tagged_calls_need_nothing_else_around_them():
    call = '<tool_call>{"name": "calculator", "arguments": {"expression": "1"}}</tool_call>'
    assert tagged_calls(call + "\n" + call, TOOLS) == [("calculator", '{"expression": "1"}')] * 2
    assert tagged_calls(f"Write {call} to call a tool.", TOOLS) == []
    assert tagged_calls('{"name": "other", "arguments": {}}', TOOLS) == []
