"""Walk the tree of an expression and compute it with SymPy, exactly, checking sizes before every step that can grow."""

from typing import Any

from tools_api.calculator import functions, measures
from tools_api.calculator.bounds import check_bits
from tools_api.calculator.errors import InvalidExpression, Undefined
from tools_api.calculator.measures import Measure
from tools_api.calculator.nodes import Binary, Call, Constant, Conversion, Node, Number, Unary, Unit
from tools_api.calculator.symbolic import rational, sp

_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_KEEPING_UNITS = frozenset({"abs", "min", "max", "sum", "mean"})


def evaluate(node: Node) -> Any:
    """Return the value: a SymPy number, a `Measure`, or a bool for a comparison. Raises `CalculationError`."""
    value = _value(node)
    if isinstance(value, bool):
        return value
    number = value.magnitude if isinstance(value, Measure) else value
    if number.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
        raise Undefined("The result is undefined or infinite.")
    return value


def _value(node: Node) -> Any:
    match node:
        case Number(value):
            return rational(value)
        case Constant(name):
            return 2 * sp.pi if name == "tau" else getattr(sp, name)
        case Unit(name):
            return measures.measure(name)
        case Unary(operator, operand):
            return _unary(operator, _number_or_measure(operand))
        case Binary(operator, left, right):
            return _binary(operator, left, right)
        case Call(function, arguments):
            return _call(function, [_number_or_measure(argument) for argument in arguments])
        case Conversion(value, target, label):
            return _converted(_number_or_measure(value), _number_or_measure(target), label)


def _number_or_measure(node: Node) -> Any:
    value = _value(node)
    if isinstance(value, bool):
        raise InvalidExpression("A comparison cannot be calculated with; compare last.")
    return value


def _unary(operator: str, value: Any) -> Any:
    match operator:
        case "-" if isinstance(value, Measure):
            return Measure(-value.magnitude, value.unit)
        case "-":
            return -value
        case "!":
            return functions.factorial(measures.plain(value))
        case "%":
            return measures.plain(value) / 100
        case _:
            return _call(operator, [value])


def _binary(operator: str, left_node: Node, right_node: Node) -> Any:
    left, right = _number_or_measure(left_node), _number_or_measure(right_node)
    if operator in _COMPARISONS:
        return _compare(operator, left, right)
    if operator == "^":
        return _power(left, right)
    if operator in {"mod", "//"}:
        left, right = measures.plain(left), measures.plain(right)
        return functions.modulo(left, right) if operator == "mod" else _floor_divide(left, right)
    if operator == "and":
        operator = "+"
    if operator in {"+", "-"} and _is_percentage(right_node) and not _is_percentage(left_node):
        operator, right = "*", 1 + right if operator == "+" else 1 - right
    if operator == "/" and functions.is_zero(right.magnitude if isinstance(right, Measure) else right):
        raise Undefined("Division by zero is undefined.")
    if isinstance(left, Measure) or isinstance(right, Measure):
        return measures.combine(operator, left, right)
    return check_bits(_arithmetic(operator, left, right))


def _is_percentage(node: Node) -> bool:
    return isinstance(node, Unary) and node.operator == "%"


def _arithmetic(operator: str, left: Any, right: Any) -> Any:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return left / right


def _power(base: Any, exponent: Any) -> Any:
    exponent = measures.plain(exponent)
    if isinstance(base, Measure):
        return measures.power(base, exponent, functions.raise_to(base.magnitude, exponent))
    return check_bits(functions.raise_to(base, exponent))


def _floor_divide(left: Any, right: Any) -> Any:
    return sp.floor(functions.divide(functions.real(left), functions.real(right)))


def _call(name: str, arguments: list[Any]) -> Any:
    if name == "sqrt" and isinstance(arguments[0], Measure):
        return _power(arguments[0], sp.Rational(1, 2))
    first = arguments[0]
    if name in _KEEPING_UNITS and isinstance(first, Measure):
        same = [measures.combine("+", Measure(sp.Integer(0), first.unit), argument) for argument in arguments]
        return Measure(functions.call(name, [argument.magnitude for argument in same]), first.unit)
    return check_bits(functions.call(name, [measures.plain(argument) for argument in arguments]))


def _converted(value: Any, target: Any, label: str) -> Any:
    if not isinstance(value, Measure):
        raise InvalidExpression(f"There is no unit to convert to {label} from; write it as in: 5 km to miles.")
    return measures.convert(value, target.unit, label)


def _compare(operator: str, left: Any, right: Any) -> bool:
    if isinstance(left, Measure) and isinstance(right, Measure):
        left, right = left.magnitude, measures.convert(right, left.unit).magnitude
    difference = measures.plain(left) - measures.plain(right)
    equal = functions.is_zero(difference)
    if operator in {"==", "!="}:
        return equal == (operator == "==")
    if functions.real(difference).is_real is None:
        raise Undefined("Only real numbers have an order.")
    less = not equal and bool(difference.evalf(15, maxn=400) < 0)
    return {"<": less, "<=": less or equal, ">": not less and not equal, ">=": not less}[operator]
