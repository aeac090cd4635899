"""Turn what a model wrote as arguments into what a tool takes, or say in words that the model can act on why not.

Models get small things wrong: a bare string for the only argument, `input` for `code`, JSON with a missing bracket.
Those are put right here. Everything else is left to the schema and comes back to the model as an error.
"""

import json
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match  # pyright: ignore[reportUnknownVariableType] - its default key is untyped

from main_api.agents.leniency import repaired_json
from main_api.agents.literal_expressions import as_written
from shared.tools_contract import JsonObject, ToolDefinition

_FREE_TEXT = frozenset({"query", "q", "search", "search_query", "question", "topic", "task", "request"})
"""Arguments that a person's own words can stand in for. Code, expressions, names and paths are none of them."""
_EXPRESSION = "expression"
_LONGEST_ERROR = 400


class BadArguments(Exception):
    """Signal to the loop: the model must correct its arguments; the message tells it how."""


def parse_arguments(written: str) -> Any:
    """Read arguments written as JSON, with one attempt at repair. Raises `BadArguments`."""
    if not written.strip():
        return {}
    try:
        return json.loads(written)
    except (json.JSONDecodeError, RecursionError):
        pass
    repaired = repaired_json(written)
    if isinstance(repaired, dict) and repaired:
        return cast("JsonObject", repaired)
    raise BadArguments("The arguments are not a JSON object. Write one JSON object with the tool's argument names.")


class ArgumentFitter:
    """Fit arguments to one tool. `verbatim` is for models that can only copy: their free text must occur in `seen`,
    and a calculation that the request writes out is taken from there."""

    def __init__(self, tool: ToolDefinition, *, request: str, verbatim: bool) -> None:
        self._tool = tool
        self._request = request.strip()
        self._verbatim = verbatim
        self._first_expression: str | None = None
        self._properties: dict[str, Any] = tool.parameters.get("properties") or {}
        self._required: list[str] = list(tool.parameters.get("required") or ())
        self._validator = _validator(tool.parameters)

    def fit(self, value: Any, *, seen: str) -> JsonObject:
        """Return arguments that the tool's schema accepts. Raises `BadArguments`."""
        arguments = self._filled_in(self._renamed(self._as_object(value)), seen)
        problem = self._problem(arguments)
        if problem:
            raise BadArguments(problem)
        return arguments

    def _as_object(self, value: Any) -> JsonObject:
        if isinstance(value, dict):
            return cast("JsonObject", value)
        only = self._only_argument
        if only and isinstance(value, str | int | float):
            return {only: str(value)} if self._is_string(only) else {only: value}
        return {} if value is None else {"input": value}

    def _renamed(self, arguments: JsonObject) -> JsonObject:
        """Give the only argument its right name (`input` for `code` is the cortex document's example)."""
        only = self._only_argument
        unknown = [key for key in arguments if key not in self._properties]
        if only and only not in arguments and len(unknown) == 1:
            value = arguments[unknown[0]]
            return {**{key: kept for key, kept in arguments.items() if key != unknown[0]}, only: value}
        return arguments

    def _filled_in(self, arguments: JsonObject, seen: str) -> JsonObject:
        if not self._request:
            return arguments
        filled = dict(arguments)
        if self._verbatim and isinstance(expression := filled.get(_EXPRESSION), str):
            filled[_EXPRESSION] = self._calculation(expression)
        for key in self._properties:
            if key.lower() in _FREE_TEXT and self._is_string(key) and not self._usable(key, arguments, seen):
                filled[key] = self._request
        return filled

    def _calculation(self, expression: str) -> str:
        """Correct the first calculation of a run, and the same again; a later one goes on from its result."""
        self._first_expression = self._first_expression or expression
        return as_written(expression, self._request) if expression == self._first_expression else expression

    def _usable(self, key: str, arguments: JsonObject, seen: str) -> bool:
        if key not in arguments:
            return key not in self._required
        value = arguments[key]
        if not isinstance(value, str):
            return True  # a wrong type is for the schema to explain
        if not value.strip():
            return False
        return not self._verbatim or value.casefold().strip() in seen.casefold()

    def _problem(self, arguments: JsonObject) -> str | None:
        if self._validator is None:
            return None
        validator: Any = self._validator
        error = cast("ValidationError | None", best_match(validator.iter_errors(arguments)))
        return _explained(error, self._properties) if error else None

    @property
    def _only_argument(self) -> str | None:
        if len(self._required) == 1:
            return self._required[0]
        return next(iter(self._properties)) if len(self._properties) == 1 else None

    def _is_string(self, key: str) -> bool:
        schema = self._properties.get(key)
        return isinstance(schema, dict) and cast("JsonObject", schema).get("type") == "string" and "enum" not in schema


def _validator(schema: JsonObject) -> Draft202012Validator | None:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return None  # the tool's own mistake; the tools API checks the arguments again
    return Draft202012Validator(schema)


def _explained(error: ValidationError, properties: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    where = f"argument {place!r}: " if place else ""
    names = ", ".join(properties) or "none"
    return f"Wrong arguments: {where}{error.message[:_LONGEST_ERROR]}. The arguments are: {names}."
