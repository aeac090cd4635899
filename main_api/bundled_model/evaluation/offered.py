"""The tools that items are asked with: the product's five, and those that an item brings.

The tools live in the other process, so what this model is shown of them is repeated here; a test compares it.
"""

from collections.abc import Sequence
from typing import Final

from main_api.bundled_model.evaluation.sets import OfferedTool
from shared.tools_contract import JsonObject, ToolDefinition


def with_arguments(name: str, description: str, arguments: Sequence[str]) -> ToolDefinition:
    """Return a tool whose arguments are all texts and all required."""
    parameters: JsonObject = {
        "type": "object",
        "properties": {argument: {"type": "string"} for argument in arguments},
        "required": list(arguments),
        "additionalProperties": False,
    }
    return ToolDefinition(name=name, description=description, parameters=parameters)


KNOWN_TOOLS: Final = (
    with_arguments("calculator", "Calculate a mathematical expression exactly.", ("expression",)),
    with_arguments("websearch", "Search the web for current information and facts.", ("query",)),
    with_arguments(
        "rag", "Search the user's own uploaded documents (handbooks, reports, contracts, notes, PDFs).", ("query",)
    ),
    with_arguments("python_coder", "Run Python 3.11 code in a fresh, isolated sandbox.", ("code",)),
    with_arguments("ppt_maker", "Make a slide presentation about a topic.", ("topic",)),
)
"""The five, each with the one sentence that `react_setup` leaves of what the tool says."""

KNOWN_NAMES: Final = frozenset(tool.name for tool in KNOWN_TOOLS)


def brought(tools: Sequence[OfferedTool]) -> tuple[ToolDefinition, ...]:
    """Return the tools that an item brings, as they stand there."""
    return tuple(with_arguments(tool.name, tool.description, tool.arguments) for tool in tools)


def including(name: str, arguments: JsonObject) -> tuple[ToolDefinition, ...]:
    """Return the known tools and, where `name` is none of them, one of that name; its name says what it does."""
    if name in KNOWN_NAMES:
        return KNOWN_TOOLS
    description = f"{name.replace('_', ' ').capitalize()}."
    return (*KNOWN_TOOLS, with_arguments(name, description, tuple(arguments)))


def as_openai(tools: Sequence[ToolDefinition]) -> list[JsonObject]:
    """Return tools as a request's `tools`."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]
