"""Write a value down: short for a reader, exact and decimal for a program."""

from dataclasses import dataclass
from typing import Any

from tools_api.calculator.measures import Measure, spelled
from tools_api.calculator.symbolic import sp

DIGITS = 15
MAX_SHOWN_DIGITS = 1_000
MAX_EXACT_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` for the model; `exact` and `decimal` for programs; `unit` if the value has one."""

    text: str
    exact: str
    decimal: str
    unit: str | None = None


def render(value: Any) -> Answer:
    """Return the three forms of a value that `evaluate` gave."""
    if isinstance(value, bool):
        return Answer(str(value), str(value), str(value))
    if not isinstance(value, Measure):
        return _number(value)
    unit = value.label or spelled(value.unit)
    number = _number(value.magnitude)
    return Answer(f"{number.text} {unit}", f"{number.exact} {unit}", f"{number.decimal} {unit}", unit)


def _number(value: Any) -> Answer:
    decimal = _decimal(value)
    exact = str(value)
    if len(exact) > MAX_EXACT_CHARACTERS:
        exact = decimal
    if not value.is_Integer:
        return Answer(decimal, exact, decimal)
    digits = len(exact.lstrip("-"))
    text = exact if digits <= MAX_SHOWN_DIGITS else f"{_approximate(value)} (an integer of {digits} digits)"
    return Answer(text, exact, text)


def _decimal(value: Any) -> str:
    if value.is_Integer:
        return str(value)
    if value.is_Rational and (terminating := _terminating(value)) is not None:
        return terminating
    return _approximate(value)


def _terminating(value: Any, most_places: int = 30) -> str | None:
    """Return all digits of a fraction like 1/8, None if there is no end to them or they are too many."""
    if value.p.bit_length() > 128 or 10**most_places % value.q:
        return None
    sign = "-" if value.p < 0 else ""
    digits = str(abs(value.p) * (10**most_places // value.q)).rjust(most_places + 1, "0")
    return sign + (digits[:-most_places] + "." + digits[-most_places:]).rstrip("0")


def _approximate(value: Any) -> str:
    real, imaginary = value.evalf(DIGITS, maxn=400).as_real_imag()
    real, imaginary = _settled(real), _settled(imaginary)
    if imaginary == 0 or abs(imaginary) < abs(real) * sp.Float("1e-14"):
        return _digits(real)
    if real == 0 or abs(real) < abs(imaginary) * sp.Float("1e-14"):
        return _imaginary(imaginary)
    sign = "-" if imaginary < 0 else "+"
    return f"{_digits(real)} {sign} {_imaginary(abs(imaginary))}"


def _imaginary(number: Any) -> str:
    digits = _digits(number)
    return {"1": "I", "-1": "-I"}.get(digits, f"{digits}*I")


def _settled(part: Any) -> Any:
    """Return 0 for a part of which not one digit could be told: a zero in disguise, like sin(1)^2+cos(1)^2-1."""
    return sp.Integer(0) if part.is_Float and part._prec == 1 else part  # pyright: ignore[reportPrivateUsage]


def _digits(number: Any) -> str:
    mantissa, _, exponent = str(number.evalf(DIGITS)).partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{exponent.removeprefix('+')}" if exponent else mantissa
