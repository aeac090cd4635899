"""SymPy and pint, as untyped as they are. Imported only in the worker process: the two cost 0.7 s and 50 MB."""

from fractions import Fraction
from functools import cache
from typing import Any

import pint
import sympy

sp: Any = sympy


@cache
def units() -> Any:
    """Return pint's registry, with exact factors: a mile is 1609.344 m, not almost."""
    make: Any = pint.UnitRegistry
    return make(non_int_type=Fraction)


UnitError = pint.PintError


def rational(value: Fraction) -> Any:
    """Return an exact SymPy number."""
    return sp.Rational(value.numerator, value.denominator)
