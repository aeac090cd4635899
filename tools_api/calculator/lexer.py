"""Cut an expression into tokens, and bring the ways of writing one thing (`×`, `π`, `²`, `**`) to one spelling."""

import re
from dataclasses import dataclass
from typing import Literal

from tools_api.calculator.errors import InvalidExpression

MAX_LENGTH = 2000

Kind = Literal["number", "name", "operator", "end"]

_PATTERN = re.compile(
    r"""
      (?P<number>0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+
        |(?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<name>[πτ]|(?:math\.|np\.|numpy\.)?[A-Za-zµμΩÅ][A-Za-z0-9_]*)
    | (?P<degree>°\s?[CF](?![A-Za-z]))
    | (?P<superscript>⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)
    | (?P<operator>\*\*|//|->|==|!=|<=|>=|[-+*/^%!()\[\],<>=|°×·⋅∙÷∕−–√∛→≤≥≠])
    """,
    re.VERBOSE,
)
_SAME = {
    "**": "^", "×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "∕": "/", "−": "-", "–": "-",
    "→": "->", "≤": "<=", "≥": ">=", "≠": "!=", "=": "==",
}  # fmt: skip
_SAME_NAME = {"π": "pi", "τ": "tau"}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `text` in its one spelling, where it stands, and whether white space comes before and after it."""

    kind: Kind
    text: str
    start: int
    end: int
    space_before: bool
    space_after: bool


def tokenize(text: str) -> list[Token]:
    """Return the tokens of `text` and an `end`. Raises `InvalidExpression` at the first character that fits nowhere."""
    if len(text) > MAX_LENGTH:
        raise InvalidExpression(f"The expression is longer than {MAX_LENGTH} characters; split it up.")
    stripped = text.rstrip().rstrip("?").rstrip()  # people type `2+2=` and `2+2 = ?`
    stripped = stripped.removesuffix("=").rstrip()
    tokens: list[Token] = []
    position = 0
    while position < len(stripped):
        if stripped[position].isspace():
            position += 1
            continue
        match = _PATTERN.match(stripped, position)
        if match is None:
            raise _unreadable(stripped, position)
        tokens.extend(_tokens(stripped, match))
        position = match.end()
    tokens.append(Token("end", "the end", len(stripped), len(stripped), True, True))
    return tokens


def _tokens(text: str, match: re.Match[str]) -> list[Token]:
    start, end = match.span()
    before = start == 0 or text[start - 1].isspace()
    after = end == len(text) or text[end].isspace()
    found = match.group()
    match match.lastgroup:
        case "number":
            return [Token("number", found, start, end, before, after)]
        case "name":
            name = found.rsplit(".", 1)[-1]  # models write math.sqrt(2); the module adds nothing
            return [Token("name", _SAME_NAME.get(name, name), start, end, before, after)]
        case "degree":
            return [Token("name", f"deg{found[-1]}", start, end, before, after)]
        case "superscript":
            exponent = found.translate(_SUPERSCRIPTS)
            sign = [Token("operator", "-", start, start, False, False)] if exponent.startswith("-") else []
            return [
                Token("operator", "^", start, start, before, False),
                *sign,
                Token("number", exponent.lstrip("-"), start, end, False, after),
            ]
        case _:
            return [Token("operator", _SAME.get(found, found), start, end, before, after)]


def _unreadable(text: str, position: int) -> InvalidExpression:
    character = text[position]
    if character in "$€£":
        return InvalidExpression(f"Leave the currency sign {character} out and calculate with the plain number.")
    if character in "\"'":
        return InvalidExpression("Text in quotes cannot be calculated; give a mathematical expression.")
    if character == ".":
        return InvalidExpression("A '.' may only stand inside a number; attributes and methods do not exist here.")
    return InvalidExpression(f"The character {character!r} at position {position + 1} has no meaning here.")
