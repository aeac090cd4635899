"""What the functions compute: from SymPy numbers, already without units, to SymPy numbers, exact where they can be."""

from collections.abc import Callable
from typing import Any

from tools_api.calculator.bounds import check_choose, check_exponential, check_factorial, check_power
from tools_api.calculator.errors import Undefined
from tools_api.calculator.symbolic import sp


def raise_to(base: Any, exponent: Any) -> Any:
    """Return base ** exponent, the principal value. Raises `TooLarge` before it computes, `Undefined` for 0 ** -1."""
    check_power(base, exponent)
    if base == 0 and sp.re(exponent) <= 0 and exponent != 0:
        raise Undefined("Zero cannot be raised to a negative power: that divides by zero.")
    return base**exponent


def divide(left: Any, right: Any) -> Any:
    """Return left / right. Raises `Undefined` when the divisor is zero, even one in disguise."""
    if is_zero(right):
        raise Undefined("Division by zero is undefined.")
    return left / right


def is_zero(value: Any) -> bool:
    """Tell whether a number is zero, by its digits where algebra does not tell."""
    if value.is_zero is not None:
        return bool(value.is_zero)
    digits = value.evalf(3, maxn=400)
    return bool(digits == 0) or any(part.is_Float and part._prec == 1 for part in digits.as_real_imag() if part != 0)  # pyright: ignore


def modulo(left: Any, right: Any) -> Any:
    """Return the remainder, with the sign of the divisor as in Python."""
    if is_zero(right):
        raise Undefined("The remainder of a division by zero is undefined.")
    return sp.Mod(real(left), real(right))


def whole(value: Any) -> Any:
    """Return an integer argument. Raises `Undefined` for anything else."""
    if not value.is_Integer:
        raise Undefined(f"A whole number is needed, not {str(value)[:40]}.")
    return value


def real(value: Any) -> Any:
    """Return a real argument. Raises `Undefined` for a complex one."""
    if value.is_real is False:
        raise Undefined("A real number is needed, not a complex one.")
    return value


def factorial(n: Any) -> Any:
    """Return n!. Raises `Undefined` for what is no whole number from 0, `TooLarge` before it computes."""
    if whole(n) < 0:
        raise Undefined("The factorial of a negative number is undefined.")
    check_factorial(n)
    return sp.factorial(n)


def call(name: str, arguments: list[Any]) -> Any:
    """Return the value of the function `name` (a name that the vocabulary maps to)."""
    return _FUNCTIONS[name](*arguments)


def _root(value: Any, degree: Any) -> Any:
    if whole(degree) <= 0:
        raise Undefined("The degree of a root is a whole number from 1.")
    check_power(value, 1 / degree)
    if value.is_negative and degree.p % 2 == 1:
        return -((-value) ** (1 / degree))
    return value ** (1 / degree)


def _log(value: Any, base: Any = None) -> Any:
    if is_zero(value):
        raise Undefined("The logarithm of zero is undefined.")
    if base is None:
        return sp.log(value)
    if is_zero(base) or base == 1:
        raise Undefined("A logarithm has no base 0 or 1.")
    if value.is_Rational and base.is_Rational and value > 0 and base > 0:
        return sp.log(value, base)
    return sp.log(value) / sp.log(base)


def _exp(exponent: Any) -> Any:
    check_exponential(exponent)
    return sp.exp(exponent)


def _round(value: Any, digits: Any = 0) -> Any:
    if abs(whole(sp.Integer(digits))) > 10_000:
        raise Undefined("round() keeps at most 10000 digits.")
    scale = sp.Integer(10) ** digits
    scaled = real(value) * scale
    below = sp.floor(scaled)
    rest = scaled - below
    half = sp.Rational(1, 2)
    up = rest > half or (rest == half and below % 2 == 1)  # half to even, as in Python
    return (below + 1 if up else below) / scale


def _trunc(value: Any) -> Any:
    return sp.floor(real(value)) if value >= 0 else sp.ceiling(value)


def _perm(n: Any, k: Any = None) -> Any:
    if k is None:
        return factorial(n)
    if whole(n) < 0 or whole(k) < 0:
        raise Undefined("perm() takes whole numbers from 0.")
    check_choose(n, k)
    return sp.ff(n, k)


def _comb(n: Any, k: Any) -> Any:
    if whole(n) < 0 or whole(k) < 0:
        raise Undefined("comb() takes whole numbers from 0.")
    smaller = min(k, n - k) if k <= n else k
    check_choose(n, smaller)
    return sp.binomial(n, smaller)


def _extreme(pick: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: pick(*(real(value) for value in values))


def _median(*values: Any) -> Any:
    ordered = sorted((real(value) for value in values), key=lambda value: value.evalf(30))
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _folded(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def fold(*values: Any) -> Any:
        result = abs(whole(values[0]))
        for value in values[1:]:
            result = operation(result, whole(value))
        return result

    return fold


def _sqrt(value: Any) -> Any:
    return raise_to(value, sp.Rational(1, 2))


def _cbrt(value: Any) -> Any:
    return _root(value, sp.Integer(3))


def _log_to(base: int) -> Callable[[Any], Any]:
    def log(value: Any) -> Any:
        return _log(value, sp.Integer(base))

    return log


def _floor(value: Any) -> Any:
    return sp.floor(real(value))


def _ceil(value: Any) -> Any:
    return sp.ceiling(real(value))


def _mean(*values: Any) -> Any:
    return sp.Add(*values) / len(values)


def _hypot(*values: Any) -> Any:
    return _sqrt(sp.Add(*(raise_to(value, sp.Integer(2)) for value in values)))


def _degrees(angle: Any) -> Any:
    return angle * 180 / sp.pi


def _radians(angle: Any) -> Any:
    return angle * sp.pi / 180


_SYMPY_NAMES = (
    *("sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "atan2"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "sign", "re", "im", "conjugate"),
)
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(sp, name) for name in _SYMPY_NAMES},
    "sqrt": _sqrt,
    "cbrt": _cbrt,
    "root": _root,
    "exp": _exp,
    "log": _log,
    "log10": _log_to(10),
    "log2": _log_to(2),
    "pow": raise_to,
    "abs": sp.Abs,
    "round": _round,
    "floor": _floor,
    "ceil": _ceil,
    "trunc": _trunc,
    "mod": modulo,
    "gcd": _folded(sp.gcd),
    "lcm": _folded(sp.lcm),
    "factorial": factorial,
    "comb": _comb,
    "perm": _perm,
    "min": _extreme(sp.Min),
    "max": _extreme(sp.Max),
    "sum": sp.Add,
    "prod": sp.Mul,
    "mean": _mean,
    "median": _median,
    "hypot": _hypot,
    "degrees": _degrees,
    "radians": _radians,
}
