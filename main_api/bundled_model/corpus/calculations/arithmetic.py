"""The value of an expression, written as the product's calculator writes it, without its symbolic engine.

It knows `+ - * / **`, brackets, `sqrt` and `% of`. It is for training data, not for people's input.
"""

import re
from decimal import Context, Decimal
from fractions import Fraction
from math import isqrt

_TOKEN = re.compile(r"\d+\.?\d*(?:e-?\d+)?|\*\*|% of|sqrt|[-+*/()]")
_PRECISE = Context(prec=40)
_SHOWN = Context(prec=15)
_MOST_PLACES = 30
_MOST_DIGITS = 24

_Number = Fraction | Decimal


def value_of(expression: str) -> str:
    """Return the value as text; empty if there is none or it is too long for anybody's liking."""
    try:
        text = _text(_Reader(expression).value())
    except ArithmeticError:
        return ""
    return text if len(text) <= _MOST_DIGITS else ""


class _Reader:
    """Reads an expression from left to right, by the precedence of Python."""

    def __init__(self, expression: str) -> None:
        self._tokens = [*_TOKEN.findall(expression), ""]
        self._at = 0

    def value(self) -> _Number:
        return self._sum()

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _sum(self) -> _Number:
        value = self._product()
        while self._tokens[self._at] in {"+", "-"}:
            value = _applied(self._next(), value, self._product())
        return value

    def _product(self) -> _Number:
        value = self._signed()
        while self._tokens[self._at] in {"*", "/", "% of"}:
            value = _applied(self._next(), value, self._signed())
        return value

    def _signed(self) -> _Number:
        if self._tokens[self._at] == "-":
            self._next()
            return -self._signed()
        value = self._atom()
        if self._tokens[self._at] == "**":
            self._next()
            return _power(value, self._signed())
        return value

    def _atom(self) -> _Number:
        first = self._next()
        if first == "sqrt":
            return _root(self._atom())
        if first != "(":
            return Fraction(first)
        value = self._sum()
        self._next()
        return value


def _applied(operator: str, left: _Number, right: _Number) -> _Number:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        match operator:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return left / right
            case _:
                return left * right / 100
    first, second = _decimal(left), _decimal(right)
    match operator:
        case "+":
            return _PRECISE.add(first, second)
        case "-":
            return _PRECISE.subtract(first, second)
        case "*":
            return _PRECISE.multiply(first, second)
        case "/":
            return _PRECISE.divide(first, second)
        case _:
            return _PRECISE.divide(_PRECISE.multiply(first, second), Decimal(100))


def _power(base: _Number, exponent: _Number) -> _Number:
    if exponent.as_integer_ratio()[1] != 1 or not -30 <= exponent <= 60:
        raise ArithmeticError("not an everyday power")
    if isinstance(base, Fraction):
        return base ** int(exponent)
    return _PRECISE.power(base, int(exponent))


def _root(value: _Number) -> _Number:
    if value < 0:
        raise ArithmeticError("the root of a negative number")
    if isinstance(value, Fraction):
        upper, lower = isqrt(value.numerator), isqrt(value.denominator)
        if upper * upper == value.numerator and lower * lower == value.denominator:
            return Fraction(upper, lower)
    return _PRECISE.sqrt(_decimal(value))


def _decimal(value: _Number) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return _PRECISE.divide(Decimal(value.numerator), Decimal(value.denominator))


def _text(value: _Number) -> str:
    if isinstance(value, Fraction):
        if value.denominator == 1:
            return str(value.numerator)
        if 10**_MOST_PLACES % value.denominator == 0:
            return f"{Context(prec=60).divide(Decimal(value.numerator), Decimal(value.denominator)):f}"
    return _approximate(_decimal(value))


def _approximate(value: Decimal) -> str:
    shown = _SHOWN.plus(value)
    if shown == 0:
        return "0"
    if not -4 <= shown.adjusted() < 15:
        raise ArithmeticError("not an everyday number")
    text = f"{shown:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
