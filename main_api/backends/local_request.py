"""Make a request fit for an engine of ours: known fields only, the caller's faults named before the engine sees them.

An engine is a native program that trusts whoever calls it: fields such as `grammar`, `id_slot`, mlx-lm's `adapters`
or an image's URL would reach its files, its slots or the network. So what is passed on is a list, not a filter. It
also answers some faults of the caller with status 500, and renders tools although `tool_choice` is `none`; both are
put right here. Knows no network.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import orjson

from main_api.backends.openai_wire_json import as_list, as_object
from main_api.backends.protocol import Capabilities
from main_api.tool_shortlist import ToolWords, spoken_of
from shared.errors import InvalidRequest
from shared.tools_contract import JsonObject

_FIELDS: Final = frozenset(
    {
        "messages", "stream", "stream_options", "temperature", "top_p", "top_k", "min_p", "n", "seed", "stop",
        "max_tokens", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs",
        "response_format", "tools", "tool_choice", "parallel_tool_calls", "chat_template_kwargs",
    }
)  # fmt: skip
_LARGEST_SCHEMA: Final = 65_536


def prepare(body: Mapping[str, Any], capabilities: Capabilities, defaults: Mapping[str, Any]) -> JsonObject:
    """Return the body for the engine. `defaults` fill in what the caller left open. Raises `InvalidRequest`."""
    given = {key: value for key, value in body.items() if value is not None}
    if (limit := given.pop("max_completion_tokens", None)) is not None:
        given["max_tokens"] = limit
    prepared = {**defaults, **{key: value for key, value in given.items() if key in _FIELDS}}
    _check_messages(prepared.get("messages"), capabilities)
    _check_choices(prepared, capabilities)
    _settle_tools(prepared)
    if capabilities.tool_prompt == "signature":
        _narrow_tools(prepared)
    _check_format(prepared, capabilities)
    return prepared


def _check_messages(messages: object, capabilities: Capabilities) -> None:
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise InvalidRequest("'messages' must be a list with at least one message", param="messages")
    for position, entry in enumerate(cast("Sequence[object]", messages)):
        where = f"messages[{position}]"
        if (message := as_object(entry)) is None:
            raise InvalidRequest("A message must be an object", param=where)
        _check_content(message.get("content"), f"{where}.content", capabilities)
        _check_calls(message.get("tool_calls") or [], f"{where}.tool_calls")


def _check_content(content: object, where: str, capabilities: Capabilities) -> None:
    if content is None or isinstance(content, str):
        return
    if (parts := as_list(content)) is None:
        raise InvalidRequest("The content of a message must be text or a list of parts", param=where)
    for part in parts:
        kind = (as_object(part) or {}).get("type")
        if kind != "text" and not (capabilities.vision and kind == "image_url"):
            raise InvalidRequest("This model reads only text; leave other parts out", param=where)


def _check_calls(calls: object, where: str) -> None:
    if (listed := as_list(calls)) is None:
        raise InvalidRequest("'tool_calls' must be a list", param=where)
    for call in listed:
        function = as_object((as_object(call) or {}).get("function")) or {}
        if not isinstance(function.get("name"), str) or not _is_json_object(function.get("arguments")):
            raise InvalidRequest(
                "A tool call needs a function with a name and with arguments that are a JSON object", param=where
            )


def _is_json_object(text: object) -> bool:
    try:
        return isinstance(text, str) and as_object(orjson.loads(text)) is not None
    except orjson.JSONDecodeError:
        return False


def _check_choices(body: JsonObject, capabilities: Capabilities) -> None:
    if not capabilities.multiple_choices and body.get("n", 1) != 1:
        raise InvalidRequest("This model gives one answer at a time; leave 'n' out or ask several times", param="n")
    if not body.get("logprobs"):
        body.pop("top_logprobs", None)
        return
    if not capabilities.logprobs:
        raise InvalidRequest("This model's engine reports no log probabilities", param="logprobs")
    body["top_logprobs"] = body.get("top_logprobs") or 1  # llama.cpp: none means 20, 0 means no logprobs at all


def _settle_tools(body: JsonObject) -> None:
    """Reduce `tools` and `tool_choice` to what the engine does right."""
    choice = body.get("tool_choice", "auto")
    tools = [_complete_tool(tool, position) for position, tool in enumerate(_list(body.pop("tools", [])))]
    if choice == "none" or not tools:
        body.pop("tool_choice", None)
        body.pop("parallel_tool_calls", None)
        if not tools and choice not in ("none", "auto"):
            raise InvalidRequest("'tool_choice' asks for a tool, but there are no 'tools'", param="tool_choice")
        return
    if (named := as_object(choice)) is not None:
        wanted = (as_object(named.get("function")) or {}).get("name")
        tools = [tool for tool in tools if tool["function"]["name"] == wanted]
        if not tools:
            raise InvalidRequest("'tool_choice' names a function that is not among the 'tools'", param="tool_choice")
        body["tool_choice"] = "required"
    elif choice not in ("auto", "required"):
        raise InvalidRequest("'tool_choice' must be none, auto, required or a function", param="tool_choice")
    body["tools"] = tools
    body.setdefault("parallel_tool_calls", True)  # as in OpenAI's API; llama.cpp allows one call if it is not told so


def _narrow_tools(body: JsonObject) -> None:
    """Leave a small model the tools that the request speaks of, which it then must call."""
    last = as_object(cast("Sequence[object]", body["messages"])[-1]) or {}
    request, tools = last.get("content"), _list(body.get("tools", []))
    if body.get("tool_choice", "auto") != "auto" or last.get("role") != "user" or not isinstance(request, str):
        return
    if positions := spoken_of(request, [_words(tool["function"]) for tool in tools]):
        body["tools"] = [tools[position] for position in positions]
        body["tool_choice"] = "required"


def _words(function: JsonObject) -> ToolWords:
    arguments = as_object((as_object(function["parameters"]) or {}).get("properties")) or {}
    return ToolWords(function["name"], str(function["description"]), tuple(arguments))


def _complete_tool(tool: object, position: int) -> JsonObject:
    """Check one tool, and give it the parts that chat templates take for granted."""
    where = f"tools[{position}]"
    function = as_object((as_object(tool) or {}).get("function")) or {}
    if not isinstance(name := function.get("name"), str) or not name:
        raise InvalidRequest("A tool must be a function with a name", param=where)
    if (parameters := as_object(function.get("parameters") or dict[str, Any]())) is None:
        raise InvalidRequest("A function's parameters must be a JSON schema", param=where)
    complete: JsonObject = {
        **function,
        "description": function.get("description") or "",
        "parameters": {"type": "object", "properties": {}, **parameters},
    }
    _check_size(complete, where)
    return {"type": "function", "function": complete}


def _check_format(body: JsonObject, capabilities: Capabilities) -> None:
    if "response_format" not in body:
        return
    wanted = as_object(body["response_format"]) or {}
    kind = wanted.get("type")
    if kind == "text":
        body.pop("response_format")
        return
    if kind not in ("json_object", "json_schema"):
        raise InvalidRequest("'response_format' must be text, json_object or json_schema", param="response_format")
    if not capabilities.json_schema:
        raise InvalidRequest(
            "This model cannot be held to a format; ask for it in words and leave 'response_format' out",
            param="response_format",
        )
    if kind == "json_schema":
        schema = as_object((as_object(wanted.get("json_schema")) or {}).get("schema"))
        if schema is None:
            raise InvalidRequest("'response_format' needs json_schema.schema, a JSON schema", param="response_format")
        _check_size(schema, "response_format")


def _check_size(schema: JsonObject, param: str) -> None:
    try:
        size = len(orjson.dumps(schema))
    except TypeError:
        raise InvalidRequest("The schema is nested too deeply", param=param) from None
    if size > _LARGEST_SCHEMA:
        raise InvalidRequest(f"The schema is larger than {_LARGEST_SCHEMA} bytes", param=param)


def _list(value: object) -> list[Any]:
    if (listed := as_list(value)) is None:
        raise InvalidRequest("'tools' must be a list", param="tools")
    return listed
