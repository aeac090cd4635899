"""What a model is told about wrong arguments."""

from typing import Any

import pytest

from tests.tools_api.fakes import TEXT_ARGUMENT
from tools_api.invoke.arguments import compile_schema, problem_with

VALIDATOR = compile_schema(TEXT_ARGUMENT)


def test_right_arguments_have_no_problem() -> None:
    assert problem_with({"text": "hello", "count": 2}, VALIDATOR) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "The argument 'text' is missing."),
        ({"text": 5}, "The argument 'text' must be a string."),
        ({"text": None}, "The argument 'text' must be a string."),
        ({"text": "a", "count": "2"}, "The argument 'count' must be a whole number."),
        ({"text": "a", "count": 0}, "The argument 'count' must be at least 1."),
        ({"text": "a" * 51}, "The argument 'text' is longer than 50 characters."),
        ({"text": "a", "other": 1}, "There is no argument 'other'."),
    ],
)
def test_the_sentence_names_the_argument_and_what_the_tool_takes(arguments: dict[str, Any], words: str) -> None:
    problem = problem_with(arguments, VALIDATOR)

    assert problem == f"{words} The tool takes: text (string), count (integer, optional)."


def test_a_nested_argument_is_named_by_its_path() -> None:
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": {"enum": ["a", "b"]}}}}

    problem = problem_with({"rows": ["a", "c"]}, compile_schema(schema))

    assert problem is not None
    assert problem.startswith("The argument 'rows.1' must be one of: a, b.")


def test_a_nested_object_says_what_it_takes_and_how_much() -> None:
    inner = {"type": "object", "properties": {"mb": {"type": "integer", "minimum": 1, "maximum": 9}, "s": {}}}
    schema = {"type": "object", "properties": {"limits": {**inner, "additionalProperties": False}}}
    validator = compile_schema(schema)

    assert (problem_with({"limits": {"mb": 10}}, validator) or "").startswith(
        "The argument 'limits.mb' must be at most 9."
    )
    assert (problem_with({"limits": {"gb": 1}}, validator) or "").startswith(
        "There is no argument 'gb' in 'limits', which takes: mb, s."
    )


def test_a_huge_value_is_not_repeated() -> None:
    problem = problem_with({"text": "x" * 1_000_000, "y" * 1_000_000: 1}, VALIDATOR)

    assert problem is not None
    assert len(problem) < 500


@pytest.mark.parametrize("schema", [{"type": "string"}, {"type": 5}, {}])
def test_a_schema_that_is_none_of_an_object_is_refused_at_start(schema: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"object|not valid"):
        compile_schema(schema)
