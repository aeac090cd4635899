"""What a program is asked for: one canonical program, and what it prints, computed here without running the program.

`$xs`, `$n`, `$k`, `$m`, `$t`, `$c`, `$d`, `$f` and `$ls` are what a request fills in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

Given = Mapping[str, Any]
"""Values by the name of their slot: `xs` a list of numbers, `ls` a list of texts, `t` a text, `n`, `k`, `m` numbers."""
Printed = Callable[[Given], Sequence[object]]


@dataclass(frozen=True, slots=True)
class Task:
    """A task: the kind of its inputs (a key of the `*_inputs.py`), its program, the lines that this prints (None
    where it draws a figure), and how often it comes among the others."""

    inputs: str
    program: str
    printed: Printed | None
    weight: float = 1.0

    def code(self, given: Mapping[str, str]) -> str:
        """Return the program with the texts of `given` in it."""
        return Template(self.program).substitute(given)
