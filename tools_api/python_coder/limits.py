"""The limits of one call: what the schema says of them, and what the sandbox is told. A call can only lower them."""

from dataclasses import dataclass, replace
from typing import Any

from shared.tools_contract import JsonObject
from tools_api.sandbox import Limits

_MIB = 1 << 20
MARGIN_S = 0.7
"""What a stopped run takes to hand over its files, before the boundary cuts the call off."""


@dataclass(frozen=True, slots=True)
class LimitArgument:
    """One limit that a call may lower: its name in `limits`, the field of `Limits` that it sets, in which unit."""

    name: str
    field: str
    unit: int
    least: float

    def most(self, limits: Limits) -> int | float:
        """Return the operator's maximum in this argument's unit."""
        value: int | float = getattr(limits, self.field)
        return value // self.unit if isinstance(value, int) else value

    def value(self, asked: int | float) -> int | float:
        """Return what the field is set to; JSON Schema takes 64.0 for a whole number."""
        return asked if self.field == "cpu_s" else int(asked) * self.unit

    def schema(self, limits: Limits) -> JsonObject:
        """Return the argument's JSON Schema."""
        kind = "integer" if isinstance(getattr(limits, self.field), int) else "number"
        return {"type": kind, "minimum": self.least, "maximum": self.most(limits)}


ARGUMENTS = (
    LimitArgument("cpu_s", "cpu_s", 1, 0.1),
    LimitArgument("memory_mb", "memory_bytes", _MIB, 64),
    LimitArgument("processes", "processes", 1, 1),
    LimitArgument("output_kb", "output_bytes", 1024, 1),
    LimitArgument("files", "max_files", 1, 0),
    LimitArgument("files_mb", "max_file_bytes", _MIB, 1),
    LimitArgument("workspace_mb", "workspace_bytes", _MIB, 1),
)


def limit_schema(most: Limits, *, default_s: float) -> JsonObject:
    """Return the schema of the arguments `timeout` and `limits`."""
    return {
        "timeout": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": most.wall_s,
            "description": f"Seconds after which it is stopped; {default_s:g} if left out.",
        },
        "limits": {
            "type": "object",
            "description": "Lower limits for this run. Seldom needed.",
            "properties": {argument.name: argument.schema(most) for argument in ARGUMENTS},
            "additionalProperties": False,
        },
    }


def limits_of(arguments: JsonObject, most: Limits, *, default_s: float, deadline_s: float) -> Limits:
    """Return the limits of a call whose arguments fit the schema; its deadline ends a run before the boundary does."""
    asked: dict[str, Any] = arguments.get("limits") or {}
    lowered = {item.field: item.value(asked[item.name]) for item in ARGUMENTS if item.name in asked}
    wall_s = min(float(arguments.get("timeout", default_s)), most.wall_s, max(0.1, deadline_s - MARGIN_S))
    limits = replace(most, wall_s=wall_s, **lowered)
    return replace(limits, input_bytes=min(limits.input_bytes, limits.workspace_bytes))
