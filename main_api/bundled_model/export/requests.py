"""Conversations of the corpus as clients send them: messages, tools, and the prompt that the model gets of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

from main_api.bundled_model.corpus.ask import Tool
from main_api.bundled_model.corpus.conversation import Conversation, Message, segments
from main_api.bundled_model.corpus.mixture import MIXTURE, conversations


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation up to a message that the model must write. `prompt` is its text as the corpus renders it."""

    conversation: Conversation
    prompt: str

    @property
    def skill(self) -> str:
        return self.conversation.skill


def all_skills(seed: int) -> Iterator[Conversation]:
    """Yield conversations without end on words that training never sees, the skills in turn."""
    streams = [conversations(seed, held_out=True, only=skill) for skill in MIXTURE]
    return (conversation for several in zip(*streams, strict=True) for conversation in several)


def questions(seed: int) -> Iterator[Question]:
    """Yield prompts of all skills, each up to the first or, every second round, the last message to learn."""
    for number, conversation in enumerate(all_skills(seed)):
        places = [place for place, message in enumerate(conversation.messages) if message.learn]
        place = places[-(number // len(MIXTURE) % 2)]
        cut = replace(conversation, messages=conversation.messages[:place])
        yield Question(cut, "".join(text for text, _ in segments(cut)) + "<|im_start|>assistant\n")


def messages_of(conversation: Conversation) -> list[dict[str, Any]]:
    """Return the messages in OpenAI's form."""
    return [_message(message) for message in conversation.messages]


def tools_of(conversation: Conversation) -> list[dict[str, Any]]:
    """Return the tools in OpenAI's form."""
    return [_tool(tool) for tool in conversation.tools]


def rendered(template: str, conversation: Conversation, *, generation_prompt: bool) -> str:
    """Render as transformers and mlx-lm do: blocks trimmed, JSON with every character as itself."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(template).render(
        messages=messages_of(conversation),
        tools=tools_of(conversation) or None,
        add_generation_prompt=generation_prompt,
    )


def _message(message: Message) -> dict[str, Any]:
    if not message.calls:
        return {"role": message.role, "content": message.content}
    calls = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
        }
        for number, call in enumerate(message.calls)
    ]
    return {"role": message.role, "content": message.content, "tool_calls": calls}


def _tool(tool: Tool) -> dict[str, Any]:
    properties = {argument: {"type": "string"} for argument in tool.arguments}
    parameters = {"type": "object", "properties": properties, "required": list(tool.arguments)}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }
