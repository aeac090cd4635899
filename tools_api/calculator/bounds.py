"""Say how large a result would be before it is computed, so that `9**9**9` is never begun."""

import math
from typing import Any

from tools_api.calculator.errors import TooLarge
from tools_api.calculator.symbolic import sp

MAX_BITS = 262_144  # 78,913 digits
MAX_DECIMAL_MAGNITUDE = 1_000_000_000  # of inexact results: about 10**(10**9)


def check_bits(value: Any) -> Any:
    """Return an exact number that is small enough. Raises `TooLarge`."""
    if value.is_Rational and value.p.bit_length() + value.q.bit_length() > 2 * MAX_BITS:
        raise _too_large()
    return value


def check_power(base: Any, exponent: Any) -> None:
    """Raise `TooLarge` if `base ** exponent` has too many digits to write, or is too large to approximate."""
    if base in (0, 1, -1) or exponent in (0, 1):
        return
    size = abs(_float(exponent)) * abs(_log2(base))
    exact = base.is_Rational and exponent.is_Rational
    if not size <= (MAX_BITS if exact else MAX_DECIMAL_MAGNITUDE):  # `not <=`: also when it is no number
        raise _too_large()
    if exponent.is_Rational and not exponent.is_Integer and exponent.q.bit_length() > 64:
        raise TooLarge("The root is of too high a degree to compute.")


def check_exponential(exponent: Any) -> None:
    """Raise `TooLarge` if `e ** exponent` is too large to approximate."""
    if not abs(_float(exponent)) <= MAX_DECIMAL_MAGNITUDE:
        raise _too_large()


def check_factorial(n: Any) -> None:
    """Raise `TooLarge` if `n!` has too many digits."""
    if n > MAX_BITS or math.lgamma(int(n) + 1) / math.log(2) > MAX_BITS:
        raise _too_large()


def check_choose(n: Any, k: Any) -> None:
    """Raise `TooLarge` if n things taken k at a time come in too many ways."""
    if k > MAX_BITS or int(n).bit_length() * int(k) > MAX_BITS:
        raise _too_large()


def _log2(value: Any) -> float:
    if value.is_Rational:  # logarithms of the two integers: either may be beyond a float
        return math.log2(abs(value.p)) - math.log2(value.q)
    magnitude = sp.Abs(value).evalf(5)
    return float(sp.log(magnitude, 2).evalf(5)) if magnitude.is_Float and magnitude > 0 else math.inf


def _float(value: Any) -> float:
    if value.is_Rational and value.p.bit_length() - value.q.bit_length() > 1000:
        return math.inf
    magnitude = sp.Abs(value).evalf(5)
    try:
        return float(magnitude)
    except (TypeError, OverflowError):
        return math.inf


def _too_large() -> TooLarge:
    return TooLarge("The result is too large to compute: it would have more than 78,000 digits.")
