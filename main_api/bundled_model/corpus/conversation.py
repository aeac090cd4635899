"""A conversation of the corpus, and its text as the chat template in `chat_template.jinja` renders it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from main_api.bundled_model.corpus.ask import Tool

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Call:
    """A native tool call. `arguments` by name, in the tool's order."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `learn` marks what the model is trained to write: the assistant's messages, unless they are only
    there to be followed up on."""

    role: Role
    content: str
    calls: Sequence[Call] = ()
    learn: bool = False


@dataclass(frozen=True, slots=True)
class Conversation:
    """`skill` names what is exercised, for the validation figures. `tools` are those of the request body."""

    skill: str
    messages: Sequence[Message]
    tools: Sequence[Tool] = ()


def system(text: str) -> Message:
    """Return a system prompt."""
    return Message("system", text)


def user(text: str) -> Message:
    """Return what the user writes, or in ReAct steps an observation."""
    return Message("user", text)


def answer(text: str) -> Message:
    """Return what the model must learn to write."""
    return Message("assistant", text, learn=True)


def earlier_answer(text: str) -> Message:
    """Return an earlier answer that is context only."""
    return Message("assistant", text)


def calling(*calls: Call) -> Message:
    """Return native tool calls that the model must learn to make."""
    return Message("assistant", "", calls, learn=True)


def observed(text: str) -> Message:
    """Return the result of a native tool call."""
    return Message("tool", text)


def as_json(value: object) -> str:
    """Render a step, a plan, arguments: one line, keys in the order given, every character as itself."""
    return json.dumps(value, ensure_ascii=False)


def segments(conversation: Conversation) -> Iterator[tuple[str, bool]]:
    """Yield the text in pieces, each with whether the model is trained to write it. Joined they are exactly what the
    chat template renders."""
    messages = list(conversation.messages)
    opening = messages[0].content if messages and messages[0].role == "system" else ""
    if conversation.tools:
        lines = "".join(
            f"- {tool.name}({', '.join(tool.arguments)}): {tool.description}\n" for tool in conversation.tools
        )
        start = f"{opening}\n" if opening else ""
        call = 'To call a tool, answer with <tool_call>{"name": ..., "arguments": {...}}</tool_call>.'
        yield f"<|im_start|>system\n{start}Tools:\n{lines}{call}<|im_end|>\n", False
    elif opening:
        yield f"<|im_start|>system\n{opening}<|im_end|>\n", False
    for message in messages[1:] if messages and messages[0].role == "system" else messages:
        yield f"<|im_start|>{message.role}\n", False
        yield f"{_content(message)}<|im_end|>", message.learn
        yield "\n", False


def _content(message: Message) -> str:
    calls = [
        f'<tool_call>\n{{"name": "{call.name}", "arguments": {as_json(call.arguments)}}}\n</tool_call>'
        for call in message.calls
    ]
    return "\n".join(calls) if calls else message.content
