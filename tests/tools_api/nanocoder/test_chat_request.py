"""What of a request reaches the model's server: what is on the list, and nothing else."""

import json
from typing import Any

import pytest

from tools_api.nanocoder.chat_request import RequestRefused, rebuilt

MINIMAL: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def test_what_nanocoder_sends_passes_as_it_is() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "write_file", "arguments": "{}"}}
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "You are Nanocoder"},
            {"role": "user", "content": [{"type": "text", "text": "Compute"}]},
            {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
        ],
        "tools": [{"type": "function", "function": {"name": "write_file", "parameters": {"type": "object"}}}],
        "tool_choice": "auto",
        "stream": True,
        "temperature": 0.5,
    }
    assert json.loads(rebuilt(json.dumps(body).encode(), model="m")) == body


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"model": "another"}, "model"),
        ({"n": 100}, "n"),
        ({"store": True}, "store"),
        ({"agent_type": "react"}, "agent_type"),
        ({"session_id": "ses_1"}, "session_id"),
        ({"available_tools": ["python_coder"]}, "available_tools"),
        ({"tools": [{"type": "web_search"}]}, "tools.0"),
        ({"tools": {"enabled": True}}, "tools"),
        ({"base_url": "http://evil.example"}, "base_url"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "x", "extra": 1}]}, "messages.0.extra"),
    ],
)
def test_anything_else_is_refused_and_named(change: dict[str, Any], where: str) -> None:
    with pytest.raises(RequestRefused, match=f"^{where}"):
        rebuilt(json.dumps({**MINIMAL, **change}).encode(), model="m")


def test_a_url_that_the_server_would_fetch_is_refused() -> None:
    part = {"type": "image_url", "image_url": {"url": "http://evil.example/?stolen"}}
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    with pytest.raises(RequestRefused):
        rebuilt(json.dumps(body).encode(), model="m")


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b'{"model":' + b"9" * 50_000 + b"}"]
)
def test_garbage_is_refused_in_short_words(body: bytes) -> None:
    with pytest.raises(RequestRefused) as refused:
        rebuilt(body, model="m")
    assert len(str(refused.value)) <= 300


@pytest.mark.parametrize("field", ["stop", "messages", "tools"])
def test_millions_of_values_are_refused_before_they_are_looked_at(field: str) -> None:
    value = [""] * 300_000
    with pytest.raises(RequestRefused, match="more than 20000 values"):
        rebuilt(json.dumps({**MINIMAL, field: value}).encode(), model="m")


def test_a_long_conversation_is_not_too_much() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "write_file", "arguments": "{}"}}
    turn = [{"role": "assistant", "content": "x" * 500, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1"}]
    assert rebuilt(json.dumps({**MINIMAL, "messages": turn * 400}).encode(), model="m")
