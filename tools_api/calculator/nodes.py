"""The tree that the parser makes and the evaluator walks. Plain values: nothing here computes."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Number:
    """A literal, exact: `0.1` is one tenth."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Constant:
    """`pi`, `e`, `i` or `tau`."""

    name: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure, as it was typed."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """`+ - sqrt cbrt abs` before an operand, `! %` after it."""

    operator: str
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """`+ - * / // mod ^`, a comparison, or `and` (the sum in `5 ft 10 in`)."""

    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments; a list in brackets counts as several arguments."""

    function: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Conversion:
    """`value to target`; `label` is the target as it was typed."""

    value: "Node"
    target: "Node"
    label: str


Node = Number | Constant | Unit | Unary | Binary | Call | Conversion
