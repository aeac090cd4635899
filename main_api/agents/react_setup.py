"""What a ReAct run begins with: the options it can honour, what the caller should know, what the model is shown."""

import json
from collections.abc import Sequence
from typing import Any

from main_api.agents.conversation import last_request, recent_exchanges, with_instructions
from main_api.agents.prompts import PromptLibrary
from main_api.agents.protocol import Task
from main_api.backends.protocol import Capabilities, Message
from main_api.events import Notice
from main_api.tool_shortlist import ToolWords, one_sentence, spoken_of
from shared.errors import InvalidRequest
from shared.tools_contract import JsonObject, ToolDefinition

_FOR_ONE_TURN_ONLY = frozenset({"tools", "tool_choice", "response_format", "n", "stop", "logprobs", "top_logprobs"})
_MEANINGLESS_IN_STEPS = ("stop", "logprobs", "top_logprobs")
_SMALLEST_STEP = 200
_EXCHANGES = 2
"""What the shipped model is trained with: a request and the one that it follows up."""


def refuse_what_cannot_be_honoured(task: Task) -> None:
    if task.options.get("tools"):
        raise InvalidRequest(
            "agent_type react calls the server's own tools; for client-side `tools` use agent_type chat.", param="tools"
        )
    shape: Any = task.options.get("response_format")
    if shape and shape != {"type": "text"}:
        raise InvalidRequest(
            "agent_type react answers in text; response_format needs agent_type chat.", param="response_format"
        )
    if (task.options.get("n") or 1) != 1:
        raise InvalidRequest("agent_type react gives one answer; n above 1 needs agent_type chat.", param="n")


def notices(task: Task, usable: Sequence[ToolDefinition]) -> list[Notice]:
    found: list[Notice] = []
    off = {tool.name: tool.unavailable_reason or "not available" for tool in task.tools if not tool.available}
    if task.toolbox is None:
        found.append(Notice("tools_unavailable", "The tools API cannot be reached; the answer is given without tools."))
    elif off or not usable:
        named = "; ".join(f"{name}: {reason}" for name, reason in off.items()) or "none is offered"
        found.append(Notice("tools_unavailable", f"Some tools are not available: {named}.", off))
    if task.toolbox is None or not usable:
        return found
    capabilities = task.model.capabilities
    if capabilities.tool_prompt == "signature" and len(_visible(task)) < len(task.messages):
        found.append(Notice("history_trimmed", "This small model sees only the last two requests when it uses tools."))
    ignored = [] if capabilities.tool_mode == "native" else _ignored(task)
    if ignored:
        message = f"Ignored, because this model answers in steps: {', '.join(ignored)}."
        found.append(Notice("options_ignored", message, ignored))
    return found


def _ignored(task: Task) -> list[str]:
    return [name for name in _MEANINGLESS_IN_STEPS if task.options.get(name)]


def turn_options(task: Task, capabilities: Capabilities) -> JsonObject:
    """Return the caller's options for one turn. A copying model gets a bound on its steps: there its loops end."""
    dropped = _FOR_ONE_TURN_ONLY
    if capabilities.tool_mode == "native":
        dropped = dropped - frozenset(_MEANINGLESS_IN_STEPS)
    options = {name: value for name, value in task.options.items() if name not in dropped}
    bounded = options.get("max_tokens") or options.get("max_completion_tokens")
    if capabilities.tool_prompt == "signature" and capabilities.context_length and not bounded:
        options["max_tokens"] = max(_SMALLEST_STEP, capabilities.context_length // 4)
    return options


def _visible(task: Task) -> Sequence[Message]:
    """Return the messages that the model is shown. A model that can only copy may copy its arguments from whichever
    request it finds, so it sees no more of them than it was trained for."""
    if task.model.capabilities.tool_prompt == "signature":
        return recent_exchanges(task.messages, _EXCHANGES)
    return task.messages


def offered(task: Task, tools: Sequence[ToolDefinition]) -> Sequence[ToolDefinition]:
    """Return the tools that the model may choose among: for a small one those that the request itself speaks of."""
    if task.model.capabilities.tool_prompt == "signature":
        return asked_for(last_request(task.messages), tools) or tools
    return tools


def asked_for(request: str, tools: Sequence[ToolDefinition]) -> tuple[ToolDefinition, ...]:
    """Return the tools that a request speaks of in their own words."""
    words = [ToolWords(tool.name, tool.description, tuple(tool.parameters.get("properties") or ())) for tool in tools]
    return tuple(tools[position] for position in spoken_of(request, words))


def opening(task: Task, tools: Sequence[ToolDefinition], prompts: PromptLibrary) -> list[Message]:
    """Return the conversation as the model is shown it, its first message being the agent's prompt."""
    capabilities = task.model.capabilities
    if capabilities.tool_mode == "json_schema" and capabilities.tool_prompt == "signature":
        style, shown = "signature", [_signature(tool) for tool in tools]
    else:
        style = {"native": "native", "text": "text", "json_schema": "schema"}[capabilities.tool_mode]
        shown = [_described(tool) for tool in tools]
    return with_instructions(_visible(task), prompts.render(f"agents/react_{style}", tools=shown))


def _described(tool: ToolDefinition) -> dict[str, str]:
    arguments = ", ".join(tool.parameters.get("properties") or ())
    schema = json.dumps(tool.parameters, ensure_ascii=False)
    return {"name": tool.name, "description": tool.description, "arguments": arguments, "schema": schema}


def _signature(tool: ToolDefinition) -> dict[str, str]:
    """Return a tool as a model that copies wants it: what must be given, and one plain sentence without examples,
    which it would copy. The whole prompt has to stay under some 550 tokens."""
    arguments = tool.parameters.get("required") or tool.parameters.get("properties") or ()
    return {**_described(tool), "arguments": ", ".join(arguments), "description": one_sentence(tool.description)}
