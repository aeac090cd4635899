"""Conditions on documents: from the language of callers to SQL in which every value and field name is bound.

    {"field": value}                                  equals
    {"field": {"$in": [...], "$gte": 3, ...}}         $eq $ne $in $nin $gt $gte $lt $lte $exists, all of them at once
    {"$and": [...]}  {"$or": [...]}  {"$not": {...}}  conditions of the same language

Fields are `name`, `media_type`, `document_id`, `created_at` (a moment in ISO 8601) and the document's metadata by
name. Values are text, numbers and booleans, which never equal one another ("3" is not 3, true is not 1). A field that
holds a list fulfils a comparison when one of its elements does; a missing one fulfils none but `$ne`, `$nin` and
`$exists: false`, and so does null.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from shared.errors import InvalidRequest
from tools_api.rag.index.rows import moment

MAX_DEPTH = 8
MAX_CONDITIONS = 100
MAX_VALUES = 2000
MAX_TEXT = 2000
MAX_FIELD = 200

_COLUMNS = {"name": "d.name", "media_type": "d.media_type", "document_id": "d.id", "created_at": "d.created_at"}
_COMPARISONS = {"$eq": "=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_OPERATORS = ", ".join([*_COMPARISONS, "$ne", "$in", "$nin", "$exists"])
_ELEMENTS = (  # for a list `json_each` gives its elements, for anything else but an object the one value itself
    "EXISTS (SELECT 1 FROM json_each(d.metadata, ?) AS e WHERE coalesce(json_type(d.metadata, ?), '') <> 'object'"
)
_INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression of SQL on the table `document d`, and what is bound to its question marks."""

    sql: str
    values: tuple[Any, ...] = ()


def compile_filter(where: Mapping[str, Any]) -> Condition:
    """Translate a filter. Raises `InvalidRequest` with what is wrong and where."""
    return _Compiler().all_of(where, "filter", 1)


class _Compiler:
    """Counts what a filter is made of while it translates."""

    def __init__(self) -> None:
        self._conditions = 0
        self._values = 0

    def all_of(self, where: object, at: str, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise _wrong(f"conditions are nested deeper than {MAX_DEPTH}", at)
        if not isinstance(where, Mapping):
            raise _wrong('a condition is an object such as {"author": "Ada"}', at)
        parts = [self._entry(key, value, at, depth) for key, value in cast("Mapping[object, Any]", where).items()]
        return _joined(parts, " AND ", empty="1")

    def _entry(self, key: object, value: Any, at: str, depth: int) -> Condition:
        self._count(at)
        if not isinstance(key, str):
            raise _wrong("names of fields are text", at)
        if key in {"$and", "$or"}:
            return self._several(key, value, f"{at}.{key}", depth)
        if key == "$not":
            return _negated(self.all_of(value, f"{at}.{key}", depth + 1))
        if key.startswith("$"):
            raise _wrong(f"there is no {key[:50]}; conditions are joined by $and, $or and $not", at)
        return self._field(key, value, f"{at}.{key[:50]}")

    def _several(self, key: str, value: object, at: str, depth: int) -> Condition:
        if not isinstance(value, list) or not value:
            raise _wrong(f"{key} takes a list of conditions", at)
        parts = [self.all_of(part, at, depth + 1) for part in cast("list[object]", value)]
        return _joined(parts, " AND " if key == "$and" else " OR ", empty="1")

    def _field(self, name: str, value: object, at: str) -> Condition:
        compare = _column(name) if name in _COLUMNS else _metadata(name, at)
        if not isinstance(value, Mapping):
            return compare("=", [self._value(name, value, at)])
        operators = cast("Mapping[object, Any]", value)
        if not operators:
            raise _wrong(f"an empty condition; write a value or one of {_OPERATORS}", at)
        parts = [self._operator(compare, name, key, operand, at) for key, operand in operators.items()]
        return _joined(parts, " AND ", empty="1")

    def _operator(self, compare: "_Compare", name: str, key: object, operand: Any, at: str) -> Condition:
        self._count(at)
        match key:
            case "$exists":
                if not isinstance(operand, bool):
                    raise _wrong("$exists takes true or false", at)
                there = compare("", [])
                return there if operand else _negated(there)
            case "$ne":
                return _negated(compare("=", [self._value(name, operand, at)]))
            case "$in" | "$nin":
                if not isinstance(operand, list):
                    raise _wrong(f"{key} takes a list of values", at)
                within = compare("=", [self._value(name, value, at) for value in cast("list[object]", operand)])
                return within if key == "$in" else _negated(within)
            case str() if key in _COMPARISONS:
                return compare(_COMPARISONS[key], [self._value(name, operand, at)])
            case _:
                raise _wrong(f"there is no {str(key)[:50]}; comparisons are {_OPERATORS}", at)

    def _value(self, name: str, value: object, at: str) -> str | int | float | bool:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _wrong(f"more than {MAX_VALUES} values", at)
        if name in _COLUMNS and not isinstance(value, str):
            raise _wrong("this field is compared with text", at)
        if name == "created_at":
            return _moment(value, at)
        return _checked(value, at)

    def _count(self, at: str) -> None:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise _wrong(f"more than {MAX_CONDITIONS} conditions", at)


_Values = Sequence[str | int | float | bool]
_Compare = Callable[[str, _Values], Condition]
"""Makes "the field is in this relation to one of these values"; without a relation, "the field is there"."""


def _column(name: str) -> _Compare:
    def compare(relation: str, values: _Values) -> Condition:
        return _compared(_COLUMNS[name], relation, values) if relation else Condition("1")

    return compare


def _metadata(name: str, at: str) -> _Compare:
    path = _json_path(name, at)

    def compare(relation: str, values: _Values) -> Condition:
        if not relation:
            return Condition("coalesce(json_type(d.metadata, ?), 'null') <> 'null'", (path,))
        test = _element_test(relation, values)
        any_element = f"{_ELEMENTS} AND {test.sql})"
        return Condition(any_element, (path, path, *test.values))

    return compare


def _element_test(relation: str, values: _Values) -> Condition:
    """Compare an element with values of its own type; booleans only equal one another."""
    booleans = [str(value).lower() for value in values if isinstance(value, bool) and relation == "="]
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    tests = [
        _compared("e.type", "=", booleans),
        _joined([Condition("e.type = 'text'"), _compared("e.value", relation, texts)], " AND ", empty="1"),
        _joined(
            [Condition("e.type IN ('integer', 'real')"), _compared("e.value", relation, numbers)], " AND ", empty="1"
        ),
    ]
    return _joined([test for test in tests if test.values], " OR ", empty="0")


def _compared(what: str, relation: str, values: _Values) -> Condition:
    if not values:
        return Condition("0")
    if relation == "=":
        return Condition(f"{what} IN ({', '.join('?' * len(values))})", tuple(values))
    return Condition(f"{what} {relation} ?", (values[0],))


def _json_path(name: str, at: str) -> str:
    if not name or len(name) > MAX_FIELD or any(mark in name for mark in '"\\') or not name.isprintable():
        raise _wrong(f"a field's name has 1 to {MAX_FIELD} printable characters without quotes and backslashes", at)
    return f'$."{_text(name, at)}"'


def _moment(value: object, at: str) -> str:
    try:
        return moment(datetime.fromisoformat(_text(str(value), at)))
    except (ValueError, OverflowError):
        raise _wrong("created_at is compared with a moment such as 2026-03-31 or 2026-03-31T12:00:00Z", at) from None


def _checked(value: object, at: str) -> str | int | float | bool:
    if isinstance(value, str):
        return _text(value, at)
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong("a number is finite", at)
    if isinstance(value, int) and value not in _INTEGERS:
        raise _wrong("a whole number has at most 64 bits", at)
    if isinstance(value, bool | int | float):
        return value
    raise _wrong('values are text, numbers and booleans; for a missing one write {"$exists": false}', at)


def _text(value: str, at: str) -> str:
    if len(value) > MAX_TEXT:
        raise _wrong(f"a text has at most {MAX_TEXT} characters", at)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _wrong("half a surrogate pair is no Unicode character", at) from None
    return value


def _joined(parts: Sequence[Condition], word: str, *, empty: str) -> Condition:
    if not parts:
        return Condition(empty)
    sql = word.join(part.sql for part in parts)
    return Condition(f"({sql})", tuple(value for part in parts for value in part.values))


def _negated(condition: Condition) -> Condition:
    return Condition(f"NOT ({condition.sql})", condition.values)


def _wrong(what: str, at: str) -> InvalidRequest:
    return InvalidRequest(f"{at}: {what}.", param="filter")
