"""The official OpenAI SDK against our front door, on the bundled model."""

from typing import Any

import openai
import orjson
import pytest
from openai import OpenAI
from openai.types.chat import (
    ChatCompletionMessageParam,
    ChatCompletionMessageToolCallParam,
    ChatCompletionToolParam,
)

from tests.e2e.servers import Twinport

pytestmark = pytest.mark.slow

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello!"}]
ENDLESS: dict[str, Any] = {
    "model": "auto",
    "messages": HELLO,
    "max_tokens": 400,
    "logit_bias": {"2": -100},
    "temperature": 0,
}
COMPUTE: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Calculate 12 * 7"}]
CALCULATOR: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Calculate a mathematical expression",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    },
}


@pytest.fixture(scope="module")
def program(twinport: Twinport) -> OpenAI:
    return twinport.sdk(twinport.program("sdk-program"))


@pytest.fixture(scope="module")
def person(twinport: Twinport) -> OpenAI:
    return twinport.sdk(twinport.person("sdk-person"))


@pytest.fixture(params=["program", "person"])
def client(request: pytest.FixtureRequest) -> OpenAI:
    """Both ways through the server: relayed for a program, rendered and kept for a person."""
    return request.getfixturevalue(request.param)


def test_a_plain_answer(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="auto", messages=HELLO)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_a_streamed_answer_is_the_plain_one(client: OpenAI) -> None:
    plain = client.chat.completions.create(**ENDLESS).choices[0].message.content
    chunks = list(client.chat.completions.create(**ENDLESS, stream=True))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert len(pieces) > 2, "a busy server joins what it reads at once, but not that much"
    assert "".join(pieces) == plain
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert all(chunk.usage is None for chunk in chunks)


def test_usage_in_the_stream_when_asked_for(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="auto", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    last = list(stream)[-1]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens > 0


def test_client_side_tools(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="auto",
        messages=COMPUTE,
        tools=[CALCULATOR],
        tool_choice="required",
    )
    calls = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert calls
    assert calls[0].type == "function"
    assert calls[0].function.name == "calculator"
    assert orjson.loads(calls[0].function.arguments) == {"expression": "12 * 7"}


def test_client_side_tools_streamed(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="auto",
        messages=COMPUTE,
        tools=[CALCULATOR],
        tool_choice="required",
        stream=True,
    )
    deltas = [c.choices[0].delta.tool_calls for c in stream if c.choices and c.choices[0].delta.tool_calls]
    assert deltas[0][0].function is not None
    assert deltas[0][0].function.name == "calculator"
    assert deltas[0][0].id


def test_a_tool_result_is_answered(client: OpenAI) -> None:
    call: ChatCompletionMessageToolCallParam = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "calculator", "arguments": '{"expression": "12 * 7"}'},
    }
    answer = client.chat.completions.create(
        model="auto",
        messages=[
            *COMPUTE,
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "84"},
        ],
        tools=[CALCULATOR],
    )
    assert "84" in (answer.choices[0].message.content or "")


def test_json_schema(client: OpenAI) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answer = client.chat.completions.create(
        model="auto",
        messages=HELLO,
        response_format={"type": "json_schema", "json_schema": {"name": "number", "schema": schema}},
        max_tokens=60,
    )
    assert (answer.choices[0].message.content or "").startswith("{")


def test_stop(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="auto", messages=HELLO).choices[0].message.content or ""
    word = whole.split()[1]
    cut = client.chat.completions.create(model="auto", messages=HELLO, stop=[word]).choices[0].message.content or ""
    assert word not in cut
    assert whole.startswith(cut)


def test_the_same_seed_gives_the_same_answer(client: OpenAI) -> None:
    answers = {
        client.chat.completions.create(model="auto", messages=HELLO, seed=7, temperature=1.5).choices[0].message.content
        for _ in range(2)
    }
    assert len(answers) == 1


def test_several_choices(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="auto", messages=HELLO, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert all(choice.message.content for choice in answer.choices)


def test_logprobs(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="auto", messages=HELLO, logprobs=True, top_logprobs=2)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content
    assert logprobs.content[0].logprob <= 0
    assert len(logprobs.content[0].top_logprobs) == 2


def test_multi_part_content(client: OpenAI) -> None:
    parts: list[ChatCompletionMessageParam] = [{"role": "user", "content": [{"type": "text", "text": "Hello!"}]}]
    plain = client.chat.completions.create(model="auto", messages=HELLO).choices[0].message.content
    assert client.chat.completions.create(model="auto", messages=parts).choices[0].message.content == plain


def test_max_completion_tokens(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="auto", messages=HELLO, max_completion_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


def test_unknown_fields_are_ignored(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="auto", messages=HELLO, extra_body={"api_base": "http://x", "zzz": 1})
    assert answer.choices[0].message.content


def test_models(client: OpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert "local/twinport-tiny" in listed
    assert client.models.retrieve("local/twinport-tiny").object == "model"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages.0.role"),
        ({"n": 0}, "n"),
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"agent_type": "butler"}, "agent_type"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"messages": "hello"}, "messages"),
    ],
)
def test_bad_input_names_the_field(program: OpenAI, fields: dict[str, object], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        program.chat.completions.create(model="auto", messages=HELLO, extra_body=fields)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id


def test_an_unknown_model(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="local/no-such-model", messages=HELLO)
    assert caught.value.code == "model_not_found"


def test_a_wrong_key(twinport: Twinport) -> None:
    with pytest.raises(openai.AuthenticationError):
        twinport.sdk("ak_wrong").chat.completions.create(model="auto", messages=HELLO)


def test_a_prompt_that_is_too_long(client: OpenAI) -> None:
    long: list[ChatCompletionMessageParam] = [{"role": "user", "content": "word " * 5000}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="auto", messages=long)
    assert caught.value.code == "context_length_exceeded"
