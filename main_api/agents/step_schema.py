"""The JSON Schema of one ReAct step: thought first, then the tool, then that tool's own arguments, or the answer.

The thought comes first because it decides the rest; engines keep the order of the properties.
"""

from collections.abc import Sequence
from typing import Any, cast

from main_api.agents.step_parser import FINISH
from shared.tools_contract import JsonObject, ToolDefinition


def step_schema(tools: Sequence[ToolDefinition], *, may_finish: bool = True) -> JsonObject:
    """Return the schema of a step that calls one of `tools` or, if it may, finishes; without tools it can only
    finish."""
    definitions: JsonObject = {}
    steps = [_step(tool.name, _arguments(tool, definitions)) for tool in tools]
    if not may_finish and steps:
        return {"anyOf": steps, **({"$defs": definitions} if definitions else {})}
    answer = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    steps.append(_step(FINISH, {**answer, "additionalProperties": False}))
    return {"anyOf": steps, **({"$defs": definitions} if definitions else {})}


def response_format(schema: JsonObject) -> JsonObject:
    """Return OpenAI's `response_format` for a schema."""
    return {"type": "json_schema", "json_schema": {"name": "step", "schema": schema}}


def _step(action: str, arguments: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": {"thought": {"type": "string"}, "action": {"const": action}, "action_input": arguments},
        "required": ["thought", "action", "action_input"],
        "additionalProperties": False,
    }


def _arguments(tool: ToolDefinition, definitions: JsonObject) -> JsonObject:
    """Return the tool's schema; its `$defs` move to the root, where references of the whole schema point."""
    schema = {key: value for key, value in tool.parameters.items() if key not in {"$schema", "$id", "$defs"}}
    own = cast("JsonObject", tool.parameters.get("$defs") or {})
    if not own:
        return schema
    for name, definition in own.items():
        definitions[f"{tool.name}.{name}"] = _moved(definition, tool.name)
    return _moved(schema, tool.name)


def _moved(value: Any, prefix: str) -> Any:
    if isinstance(value, list):
        return [_moved(item, prefix) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    moved: JsonObject = {}
    for key, item in cast("JsonObject", value).items():
        reference = key == "$ref" and isinstance(item, str) and item.startswith("#/$defs/")
        moved[key] = item.replace("#/$defs/", f"#/$defs/{prefix}.", 1) if reference else _moved(item, prefix)
    return moved
