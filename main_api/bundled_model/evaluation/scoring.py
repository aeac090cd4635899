"""When two texts, arguments, expressions, outputs or answers count as the same."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

DECLINE: Final = "I am a small built-in model and cannot"
NO_TOOL: Final = "I have no tool for that"

_ARTICLE: Final = re.compile(r"^(?:the|an|a) (?=\S)")
_STRAIGHT: Final = str.maketrans("’‘“”", "''\"\"")
_OUTER: Final = " .,;:!?\"'`«»„"
_EXPRESSIONS: Final = frozenset({"expression"})
_LIST_MARKS: Final = re.compile(r"[\[\](),\s]+")


def same_text(got: str, wanted: str) -> bool:
    """Compare free text: case, inner blanks, outer punctuation and quotes and a leading article do not matter."""
    return _normal(got) == _normal(wanted)


def same_form(got: str, wanted: str) -> bool:
    """Compare expressions as they are written, but for their blanks."""
    return "".join(got.split()).casefold() == "".join(wanted.split()).casefold()


def same_arguments(got: object, accepted: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether the arguments are one of the accepted ones: the same names, each with the same value."""
    if not isinstance(got, Mapping):
        return False
    given = cast("Mapping[str, Any]", got)
    return any(
        given.keys() == wanted.keys() and all(_same_value(name, given[name], wanted[name]) for name in wanted)
        for wanted in accepted
    )


def same_answer(got: str, accepted: Sequence[str]) -> bool:
    """Tell whether an answer is one of the accepted ones, word for word."""
    return _one_line(got) in map(_one_line, accepted)


def same_output(got: str, accepted: Sequence[str]) -> bool:
    """Tell whether a program printed one of the accepted outputs: the same values in the same order, whether they
    stand in brackets, behind commas or on lines of their own. `*` accepts anything."""
    return "*" in accepted or _values(got) in map(_values, accepted)


def declines(answer: str) -> bool:
    """Tell whether an answer begins as the model was trained to decline."""
    return _one_line(answer).casefold().startswith(DECLINE.casefold())


def gives_up(answer: str) -> bool:
    """Tell whether an answer says that nothing can be done about the request."""
    return declines(answer) or NO_TOOL.casefold() in _one_line(answer).casefold()


def read_object(text: str) -> dict[str, Any] | None:
    """Read a JSON object strictly: what the engine was to keep to a schema, or the arguments of a call."""
    try:
        value: object = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _same_value(name: str, got: object, wanted: object) -> bool:
    if isinstance(wanted, str):
        if not isinstance(got, str):
            return False
        return same_form(got, wanted) if name in _EXPRESSIONS else same_text(got, wanted)
    return isinstance(got, bool) == isinstance(wanted, bool) and got == wanted


def _normal(text: str) -> str:
    plain = _one_line(text.translate(_STRAIGHT)).casefold().strip(_OUTER)
    return _ARTICLE.sub("", plain)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _values(text: str) -> list[str]:
    return [value.strip("'\"") for value in _LIST_MARKS.split(text) if value]
