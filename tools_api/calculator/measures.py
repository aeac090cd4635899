"""Numbers with a unit: pint knows the units, SymPy keeps the numbers exact."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tools_api.calculator.errors import InvalidExpression, Undefined
from tools_api.calculator.symbolic import UnitError, rational, sp, units
from tools_api.calculator.vocabulary import FUNCTIONS

# What people mean by these; to pint some are coulomb and farad, barn and year
_MEANT = {
    "C": "degC", "F": "degF", "°C": "degC", "°F": "degF", "b": "bit", "B": "byte", "deg": "degree",
    "kmh": "km/h", "kph": "km/h", "kmph": "km/h", "sqm": "m**2", "sqft": "ft**2", "cc": "cm**3",
    "Kb": "kilobit", "kb": "kilobit", "Mb": "megabit", "Gb": "gigabit", "Tb": "terabit",
    "KB": "kilobyte", "lbs": "pound", "hrs": "hour", "mins": "minute", "secs": "second", "yr": "year", "yrs": "year",
}  # fmt: skip
_LETTERS = frozenset("mgshdlLKJWNVtATH")
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_NAME = re.compile(r"[A-Za-zµμΩÅ][A-Za-z0-9_µμΩ]*")


@dataclass(frozen=True, slots=True)
class Measure:
    """`magnitude` (SymPy) times `unit` (pint); `label` is how the user called the unit, if they chose it."""

    magnitude: Any
    unit: Any
    label: str | None = None


def measure(name: str) -> Measure:
    """Return one of the unit called `name`. Raises `InvalidExpression` for what is no unit."""
    meant = _MEANT.get(name, name)
    if meant == name and (not _NAME.fullmatch(name) or len(name) > 40 or (len(name) == 1 and name not in _LETTERS)):
        raise _unknown(name)
    try:
        return Measure(sp.Integer(1), units().parse_units(meant))
    except (UnitError, ValueError, AttributeError, TypeError):
        raise _unknown(name) from None


def convert(value: Measure, unit: Any, label: str | None = None) -> Measure:
    """Return the same quantity in another unit, exactly. Raises `Undefined` if the two measure different things."""
    if value.unit == unit:
        return Measure(value.magnitude, unit, label)
    if _angle(value.unit) is not None and _angle(unit) is not None:  # pint's pi is a decimal, ours is not
        return Measure(value.magnitude * _angle(value.unit) / _angle(unit), unit, label)
    try:
        zero, one, two = (units().convert(Fraction(n), value.unit, unit) for n in (0, 1, 2))
    except (UnitError, ValueError, TypeError):
        raise Undefined(f"{_name(value.unit)} cannot be converted to {label or _name(unit)}.") from None
    if two - one != one - zero:  # decibels and the like
        raise Undefined(f"The logarithmic unit {_name(unit)} is not supported.")
    # a temperature scale has a zero of its own: everything is slope * x + offset
    return Measure(value.magnitude * rational(Fraction(one - zero)) + rational(Fraction(zero)), unit, label)


def combine(operator: str, left: Any, right: Any) -> Any:
    """Return left + - * / right, where at least one side is a `Measure`."""
    if operator in {"+", "-"}:
        return _add(operator, left, right)
    left_unit, right_unit = _unit(left), _unit(right)
    if operator == "*":
        return _simplified(_magnitude(left) * _magnitude(right), left_unit * right_unit)
    if operator == "/":
        return _simplified(_magnitude(left) / _magnitude(right), left_unit / right_unit)
    raise Undefined(f"The operator {operator} does not work on units.")


def power(base: Measure, exponent: Any, magnitude: Any) -> Any:
    """Return base ** exponent; `magnitude` is that of the result, its size checked by the caller."""
    if isinstance(exponent, Measure) or not exponent.is_Rational or abs(exponent.p) > 100 or exponent.q > 100:
        raise Undefined("A unit can only be raised to a small whole or rational power.")
    fits = int(exponent) if exponent.is_Integer else Fraction(int(exponent.p), int(exponent.q))
    return _simplified(magnitude, base.unit**fits)


def plain(value: Any) -> Any:
    """Return a number without unit: the value itself, or an angle or ratio as a number. Raises `Undefined`."""
    if not isinstance(value, Measure):
        return value
    if (angle := _angle(value.unit)) is not None:
        return value.magnitude * angle
    if not value.unit.dimensionless:
        raise Undefined(f"A plain number is needed, not a value in {_name(value.unit)}.")
    return convert(value, units().dimensionless).magnitude


def _add(operator: str, left: Any, right: Any) -> Measure:
    if not (isinstance(left, Measure) and isinstance(right, Measure)):
        raise Undefined("A number with a unit and one without cannot be added; give both a unit.")
    if _has_offset(left.unit) or _has_offset(right.unit):
        raise Undefined("Temperatures can be converted (100 F to C) but not added; use K for differences.")
    other = convert(right, left.unit).magnitude
    return Measure(left.magnitude + other if operator == "+" else left.magnitude - other, left.unit)


def _simplified(magnitude: Any, unit: Any) -> Any:
    """Turn km/m into a number, leave everything else as it is."""
    result = Measure(magnitude, unit)
    if unit == units().dimensionless:
        return magnitude
    return plain(result) if unit.dimensionless and _angle(unit) is None and len(_parts(unit)) > 1 else result


def spelled(unit: Any, *, short: bool = True) -> str:
    """Return a unit's name: `km/h²` short, `kilometer/hour²` long."""
    over: list[str] = []
    under: list[str] = []
    for name, exponent in _parts(unit).items():
        word = f"{units().Unit(name):~}" if short else name
        raised = f"{word}{_exponent(abs(exponent))}"
        (over if exponent > 0 else under).append(raised)
    return "/".join(["·".join(over) or "1", *under]) if over or under else "a plain number"


def _exponent(value: Any) -> str:
    if value == 1:
        return ""
    return str(value).translate(_SUPERSCRIPTS) if value == int(value) else f"^({value})"


def _has_offset(unit: Any) -> bool:
    return not _parts(unit).keys().isdisjoint({"degree_Celsius", "degree_Fahrenheit", "degree_Reaumur"})


def _angle(unit: Any) -> Any:
    factors = {"degree": sp.pi / 180, "radian": sp.Integer(1), "turn": 2 * sp.pi}
    parts = _parts(unit)
    return factors.get(next(iter(parts))) if list(parts.values()) == [1] else None


def _parts(unit: Any) -> dict[str, Any]:
    return dict(unit._units)  # pyright: ignore[reportPrivateUsage] -- pint's own formatter stumbles over Fractions


def _magnitude(value: Any) -> Any:
    return value.magnitude if isinstance(value, Measure) else value


def _unit(value: Any) -> Any:
    return value.unit if isinstance(value, Measure) else units().dimensionless


def _name(unit: Any) -> str:
    return spelled(unit, short=False)


def _unknown(name: str) -> InvalidExpression:
    if name in FUNCTIONS:
        return InvalidExpression(f"Write the argument of {name} in brackets: {name}(…).")
    return InvalidExpression(
        f"The name {name!r} is neither a unit nor a constant. Variables are not supported; put numbers in their place."
    )
