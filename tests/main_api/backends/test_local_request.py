"""Requests are made fit for an engine, and the caller's faults are named before it sees them."""

from typing import Any

import pytest

from main_api.backends.local_request import prepare
from main_api.backends.protocol import Capabilities
from shared.errors import InvalidRequest

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "calc"}}
CALL = {"id": "1", "type": "function", "function": {"name": "calc", "arguments": "{}"}}


def prepared(capabilities: Capabilities | None = None, **body: Any) -> dict[str, Any]:
    return prepare({"messages": HELLO, **body}, capabilities or Capabilities(), {"temperature": 0, "max_tokens": 200})


def test_defaults_give_way_to_the_caller() -> None:
    assert prepared(temperature=0.5)["temperature"] == 0.5
    assert prepared(temperature=None)["temperature"] == 0
    assert prepared(max_completion_tokens=7)["max_tokens"] == 7


@pytest.mark.parametrize(
    "field", ["grammar", "id_slot", "adapters", "model", "cache_prompt", "n_predict", "lora", "user"]
)
def test_only_known_fields_reach_the_engine(field: str) -> None:
    assert field not in prepared(**{field: 1})


def test_tools_are_completed_for_the_template() -> None:
    function = prepared(tools=[TOOL])["tools"][0]["function"]
    assert function == {"name": "calc", "description": "", "parameters": {"type": "object", "properties": {}}}


def test_tool_choice_none_drops_the_tools() -> None:
    body = prepared(tools=[TOOL], tool_choice="none", parallel_tool_calls=False)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & body.keys()


def named(name: str, description: str = "", **parameters: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": parameters}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


OFFERED = [named("get_weather", "Get the weather.", city={}), named("switch_light", "Switch the light."), TOOL]


def small(text: str, **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return prepared(Capabilities(tool_prompt="signature"), **{"messages": messages, "tools": OFFERED, **body})


def names(body: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in body["tools"]]


def test_several_calls_are_allowed_unless_the_caller_says_no() -> None:
    assert prepared(tools=[TOOL])["parallel_tool_calls"] is True
    assert prepared(tools=[TOOL], parallel_tool_calls=False)["parallel_tool_calls"] is False


def test_messages_may_be_any_sequence() -> None:
    assert names(small("", messages=({"role": "user", "content": "Weather in Rome?"},))) == ["get_weather"]


def test_a_small_model_is_left_the_tools_that_the_request_speaks_of() -> None:
    body = small("Weather in Rome?")
    assert (names(body), body["tool_choice"]) == (["get_weather"], "required")


@pytest.mark.parametrize(
    "body",
    [
        small("Good morning"),
        small("Weather in Rome?", tool_choice="required"),
        small("", messages=[*HELLO, {"role": "tool", "tool_call_id": "1", "content": "The weather is fine."}]),
        small("", messages=[{"role": "user", "content": [{"type": "text", "text": "weather"}]}]),
        prepared(tools=OFFERED, messages=[{"role": "user", "content": "Weather in Rome?"}]),
    ],
    ids=["no-words", "not-auto", "after-a-result", "parts", "big-model"],
)
def test_all_tools_are_left_otherwise(body: dict[str, Any]) -> None:
    assert len(names(body)) == 3
    assert body.get("tool_choice", "auto") in ("auto", "required")


def test_a_named_tool_is_the_only_one() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    body = prepared(tools=[TOOL, other], tool_choice={"type": "function", "function": {"name": "other"}})
    assert [tool["function"]["name"] for tool in body["tools"]] == ["other"]
    assert body["tool_choice"] == "required"


def test_plain_text_needs_no_format() -> None:
    assert "response_format" not in prepared(response_format={"type": "text"})


def test_logprobs_are_asked_for_as_the_engine_understands() -> None:
    assert prepared(logprobs=True)["top_logprobs"] == 1
    assert prepared(logprobs=True, top_logprobs=3)["top_logprobs"] == 3
    assert "top_logprobs" not in prepared(top_logprobs=3)


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content"),
        ({"messages": [*HELLO, {"role": "assistant", "tool_calls": "x"}]}, "messages[1].tool_calls"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "x", "arguments": "{bad"}}]}]},
            "messages[0].tool_calls",
        ),
        ({"tools": "x"}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tools": [{"function": {"name": "x", "parameters": [1]}}]}, "tools[0]"),
        ({"tools": [{"function": {"name": "x", "parameters": deep(300)}}]}, "tools[0]"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"function": {"name": "nope"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": "x"}}}, "response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": ["x" * 70_000]}}}},
            "response_format",
        ),
    ],
)
def test_faults_of_the_caller_are_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepared(**body)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "body",
    [{"n": 2}, {"logprobs": True}, {"response_format": {"type": "json_object"}}],
    ids=lambda body: next(iter(body)),
)
def test_what_the_engine_cannot_do_is_refused(body: dict[str, Any]) -> None:
    weak = Capabilities(multiple_choices=False, logprobs=False, json_schema=False)
    with pytest.raises(InvalidRequest):
        prepared(weak, **body)


def test_a_whole_conversation_with_calls_passes() -> None:
    messages = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "1", "content": "84"},
        {"role": "user", "content": [{"type": "text", "text": "and?"}]},
    ]
    assert prepared(messages=messages)["messages"] == messages
