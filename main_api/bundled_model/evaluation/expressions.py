"""The value of an arithmetic expression as the calculator reads it, so that 12*7 and 7 * 12 can be seen to agree.

Not the product's calculator, which lives in the other process, and not what computes the corpus' results: an evaluation
must not share the mistakes of what it judges. Only what the sets use is understood, everything else has no value.
"""

import ast
import math
import re
from collections.abc import Callable
from typing import Final

_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%\s*of\s+")
_LONGEST: Final = 200
_BINARY: Final[dict[type[ast.operator], Callable[[float, float], object]]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
    ast.Pow: lambda left, right: left**right,
}


class _NotUnderstood(Exception):
    """The expression has something in it that the sets do not use."""


def same_value(got: str, wanted: str) -> bool:
    """Tell whether both can be worked out and come to the same."""
    first, second = value_of(got), value_of(wanted)
    return first is not None and second is not None and math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-12)


def value_of(expression: str) -> float | None:
    """Return what an expression comes to; None where it cannot be worked out."""
    source = _PERCENT.sub(r"(\1/100)*", expression[:_LONGEST].strip()).replace("^", "**")
    try:
        found = _value(ast.parse(source, mode="eval").body)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError, _NotUnderstood):
        return None
    return found


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=bool()):
            raise _NotUnderstood
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _real(_BINARY[type(op)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument], keywords=[]):
            return math.sqrt(_value(argument))
        case _:
            raise _NotUnderstood


def _real(number: object) -> float:
    """Refuse what a power of a negative number may come to."""
    if not isinstance(number, float):
        raise _NotUnderstood
    return number
