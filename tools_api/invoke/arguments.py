"""Check a call's arguments against the tool's JSON Schema, and say what is wrong so that a model can put it right."""

from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from shared.tools_contract import JsonObject

_MAX_MESSAGE = 300
_BOUNDS = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than"}
_WORDS = {"object": "an object", "array": "a list", "integer": "a whole number", "null": "null"}


def compile_schema(schema: JsonObject) -> Draft202012Validator:
    """Compile a tool's schema. Raises `ValueError` if it is no JSON Schema of an object."""
    Draft202012Validator.check_schema(schema)
    if schema.get("type") != "object":
        raise ValueError("the arguments of a tool are an object")
    return Draft202012Validator(schema)


def problem_with(arguments: JsonObject, validator: Draft202012Validator) -> str | None:
    """Return one sentence on the first wrong argument, and what the tool takes; None if all is well."""
    errors: Any = validator.iter_errors(arguments)  # pyright: ignore[reportUnknownMemberType]
    error: ValidationError | None = next(iter(errors), None)
    if error is None:
        return None
    return f"{_shortened(_sentence(error))} {_expected(validator)}"


def _sentence(error: ValidationError) -> str:
    rule: Any = error.validator
    wanted: Any = error.validator_value
    argument = ".".join(str(step) for step in error.absolute_path)
    where = f"The argument {argument[:80]!r}" if argument else "The arguments"
    match rule:
        case "required":
            missing = next(name for name in wanted if name not in error.instance)  # pyright: ignore
            return f"The argument {missing!r} is missing."
        case "additionalProperties":
            schema: Any = error.schema
            known: dict[str, Any] = schema.get("properties", {})
            extra = next(str(name) for name in error.instance if name not in known)  # pyright: ignore
            inside = f" in {argument[:80]!r}, which takes: {', '.join(map(str, known))}" if argument else ""
            return f"There is no argument {extra[:80]!r}{inside}."
        case "type":
            types: list[str] = [wanted] if isinstance(wanted, str) else list(wanted)
            return f"{where} must be {' or '.join(_WORDS.get(name, f'a {name}') for name in types)}."
        case "maxLength":
            return f"{where} is longer than {wanted} characters."
        case "minLength":
            return f"{where} must not be empty." if wanted == 1 else f"{where} is shorter than {wanted} characters."
        case "enum":
            return f"{where} must be one of: {', '.join(map(str, wanted))}."
        case "minimum" | "maximum" | "exclusiveMinimum":
            return f"{where} must be {_BOUNDS[rule]} {wanted}."
        case _:
            return f"{where}: {error.message[-_MAX_MESSAGE:]}."


def _expected(validator: Draft202012Validator) -> str:
    schema: Any = validator.schema
    required = set(schema.get("required", ()))
    listed = [
        f"{name} ({rule.get('type', 'any')}{'' if name in required else ', optional'})"
        for name, rule in schema.get("properties", {}).items()
    ]
    return f"The tool takes: {', '.join(listed)}." if listed else "The tool takes no arguments."


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"
