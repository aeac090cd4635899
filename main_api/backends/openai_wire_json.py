"""Look at parsed JSON of which nothing is known yet."""

from typing import Any, cast

from shared.tools_contract import JsonObject


def as_object(value: object) -> JsonObject | None:
    """Return `value` if it is a JSON object."""
    return cast("JsonObject", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[Any] | None:
    """Return `value` if it is a JSON array."""
    return cast("list[Any]", value) if isinstance(value, list) else None
