"""Calculations that a request writes out: `12 * 7`, `(83 - 19) / 4`, `1,240 × 38`, `15% of 80`.

A model that can only copy may copy a digit wrong; where the request has one calculation in figures, code copies it.
"""

import re

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_OPERAND = rf"\(*\s*(?:sqrt\s*\()?\s*{_NUMBER}\s*\)*"
_OPERATOR = r"\s*(?:\*\*|[-+*/^×÷])\s*"
_CALCULATION = re.compile(rf"{_OPERAND}(?:{_OPERATOR}{_OPERAND})+|{_NUMBER}\s*%\s+of\s+{_NUMBER}", re.IGNORECASE)
_SIGNS = str.maketrans({"×": "*", "÷": "/", ",": None})


def as_written(expression: str, request: str) -> str:
    """Return the only calculation in `request`, or `expression` if there is none or several, or if it holds that
    calculation already."""
    found = [_plain(match[0]) for match in _CALCULATION.finditer(request)]
    if len(found) != 1 or found[0].count("(") != found[0].count(")"):
        return expression
    whole = rf"(?<![\d.]){re.escape(_compact(found[0]))}(?![\d.])"
    return expression if re.search(whole, _compact(expression)) else found[0]


def _plain(calculation: str) -> str:
    return calculation.strip().translate(_SIGNS).replace("^", "**")


def _compact(expression: str) -> str:
    return "".join(_plain(expression).lower().split())
