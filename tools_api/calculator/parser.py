"""Turn the text of an expression into a tree: a Pratt parser for arithmetic as people and models type it.

Python's own grammar would not do (`15% of 80`, `5!`, `2(3+4)`, `1,000`, `5 km to miles` are no Python), and neither
would SymPy's parser, which evaluates what it reads. This one has no way to name an attribute, a variable, a keyword
or a string, so there is nothing to escape from.

What people write two ways is read like this: `^` and `**` are powers; `%` is a remainder when an operand follows and
a percentage otherwise; `200 + 10%` adds ten percent of 200; implicit multiplication binds like `*`, except that a
unit belongs to the number before it (`100 km / 2 h`); commas group thousands except between arguments.
"""

from fractions import Fraction

from tools_api.calculator.errors import InvalidExpression, TooLarge
from tools_api.calculator.lexer import Token, tokenize
from tools_api.calculator.nodes import Binary, Call, Constant, Conversion, Node, Number, Unary, Unit
from tools_api.calculator.vocabulary import CONSTANTS, CONVERTING, FUNCTIONS

MAX_DEPTH = 100
MAX_DECIMAL_EXPONENT = 50_000

_COMPARE, _SUM, _PRODUCT, _SIGN, _UNIT, _POWER, _ROOT = 1, 10, 20, 25, 28, 30, 35
_INFIX = {
    "==": _COMPARE, "!=": _COMPARE, "<": _COMPARE, "<=": _COMPARE, ">": _COMPARE, ">=": _COMPARE,
    "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "//": _PRODUCT, "^": _POWER,
}  # fmt: skip
_INFIX_WORDS = {"of": "*", "mod": "mod", "per": "/", "x": "*", "X": "*", "times": "*", "plus": "+", "minus": "-"}
_CLOSING = {"(": ")", "[": "]", "|": "|"}


def parse(text: str) -> Node:
    """Parse an expression, whole. Raises `InvalidExpression`, whose message says what is wrong and where."""
    return _Parser(text, tokenize(text)).whole()


class _Parser:
    def __init__(self, text: str, tokens: list[Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self._in_arguments = False

    def whole(self) -> Node:
        if self._here().kind == "end":
            raise InvalidExpression("The expression is empty; give something like 2**10 + sqrt(144).")
        node = self._expression(0)
        if self._at_conversion():
            node = self._conversion(node)
        if self._here().kind != "end":
            raise self._unexpected(self._here())
        return node

    # Climbing: operators as long as they bind tighter than `floor`

    def _expression(self, floor: int) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidExpression(f"The expression is nested more than {MAX_DEPTH} levels deep; simplify it.")
        node = self._operand()
        while (operator := self._infix()) is not None:
            symbol, binding, explicit = operator
            if binding == _UNIT > floor:
                node = self._measured(node)
                continue
            if binding <= floor:
                break
            if explicit:
                self._advance()
            node = Binary(symbol, node, self._right_side(symbol, binding))
            if binding == _COMPARE and self._here().text in _INFIX and _INFIX[self._here().text] == _COMPARE:
                raise InvalidExpression("Compare two values at a time: a < b, not a < b < c.")
        self._depth -= 1
        return node

    def _infix(self) -> tuple[str, int, bool] | None:
        """The operator here, how it binds, and whether it is a token of its own (no: implicit multiplication)."""
        token = self._here()
        if token.text == "°" or self._at_unit():
            return "unit", _UNIT, False
        if token.kind == "operator":
            return _operator(token.text)
        if token.kind == "name" and token.text in _INFIX_WORDS:
            symbol = _INFIX_WORDS[token.text]
            return symbol, _INFIX.get(symbol, _PRODUCT), True
        return ("*", _PRODUCT, False) if token.kind == "name" and not self._at_conversion() else None

    def _right_side(self, symbol: str, binding: int) -> Node:
        if symbol == "^":
            return self._expression(_SIGN - 1 if self._here().text in {"-", "+"} else binding - 1)
        if symbol in {"*", "/"} and self._at_unit():
            return self._powered_unit()
        return self._expression(binding)

    # Operands and what stands directly before and after them

    def _operand(self) -> Node:
        node = self._prefixed()
        while True:
            if self._here().text == "!" and self._here().kind == "operator":
                self._advance()
                if self._here().text == "!":
                    raise InvalidExpression("Write (n!)! for the factorial of a factorial; n!! is ambiguous.")
                node = Unary("!", node)
            elif self._at_percentage():
                self._advance()
                node = Unary("%", node)
            else:
                return node

    def _prefixed(self) -> Node:
        token = self._advance()
        match token.kind, token.text:
            case "number", _:
                return self._number(token)
            case "name", _:
                return self._name(token)
            case "operator", "-" | "+":
                operand = self._expression(_SIGN)
                return Unary("-", operand) if token.text == "-" else operand
            case "operator", "√" | "∛":
                return Unary("sqrt" if token.text == "√" else "cbrt", self._expression(_ROOT))
            case "operator", "(":
                return self._bracketed("(")
            case "operator", "|":
                return Unary("abs", self._bracketed("|"))
            case _:
                raise self._unexpected(token)

    def _bracketed(self, opening: str) -> Node:
        outer, self._in_arguments = self._in_arguments, False
        node = self._expression(0)
        self._expect(_CLOSING[opening])
        self._in_arguments = outer
        return node

    def _number(self, token: Token) -> Number:
        text = token.text
        while not self._in_arguments and self._thousands(token):
            self._advance()
            token = self._advance()
            text += token.text
        if self._here().kind == "number":
            raise InvalidExpression(f"There is no operator between {text} and {self._here().text}.")
        return Number(_fraction(text))

    def _thousands(self, before: Token) -> bool:
        comma, digits = self._here(), self._peek(1)
        if comma.text != "," or digits.kind != "number":
            return False
        whole = digits.text.split(".")[0]
        fits = comma.start == before.end and digits.start == comma.end and len(whole) == 3 and whole.isdigit()
        if not fits or not before.text.isdigit() or len(before.text) > 3:
            raise InvalidExpression("A comma groups thousands (1,000); write decimals with a point (1.5).")
        return True

    def _name(self, token: Token) -> Node:
        if token.text in CONSTANTS:
            return Constant(CONSTANTS[token.text])
        if self._here().text != "(":
            raise self._unknown(token)
        if token.text not in FUNCTIONS:
            raise InvalidExpression(f"There is no function {token.text}(); there are: {', '.join(sorted(FUNCTIONS))}.")
        self._advance()
        function, fewest, most = FUNCTIONS[token.text]
        arguments = self._arguments(")")
        if len(arguments) < fewest or (most is not None and len(arguments) > most):
            wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}" if most else f"at least {fewest}"
            raise InvalidExpression(f"{token.text}() takes {wanted} argument(s), not {len(arguments)}.")
        return Call(function, tuple(arguments))

    def _arguments(self, closing: str) -> list[Node]:
        outer, self._in_arguments = self._in_arguments, True
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidExpression(f"The expression is nested more than {MAX_DEPTH} levels deep; simplify it.")
        arguments: list[Node] = []
        while self._here().text != closing:
            if self._here().text == "[":
                self._advance()
                arguments.extend(self._arguments("]"))
            else:
                arguments.append(self._expression(0))
            if self._here().text != ",":
                break
            self._advance()
        self._expect(closing)
        self._depth -= 1
        self._in_arguments = outer
        return arguments

    def _unknown(self, token: Token) -> InvalidExpression:
        if token.text in FUNCTIONS:
            return InvalidExpression(f"Write the argument of {token.text} in brackets: {token.text}(…).")
        return InvalidExpression(
            f"The name {token.text!r} is unknown. Use numbers, operators, functions such as sqrt(x), "
            "and the constants pi and e; variables and sentences are not read."
        )

    # Percentages and units

    def _at_percentage(self) -> bool:
        token, after = self._here(), self._peek(1)
        if token.text == "percent":
            return True
        if token.text != "%":
            return False
        if after.kind == "number" or after.text in {"(", "√", "∛"}:
            return False
        if after.kind == "name":
            return after.text in _INFIX_WORDS or after.text in CONVERTING
        # `10 % -3` is a remainder, `10% - 3` and `10%-3` are not: the spaces tell
        return not (after.text in {"-", "+"} and token.space_before and after.space_before and not after.space_after)

    def _at_unit(self) -> bool:
        token = self._here()
        if token.kind != "name" or token.text in CONSTANTS or token.text == "percent":
            return False
        if token.text == "in":  # inches, unless a unit follows: `5 in to cm`, `3 h in min`
            after = self._peek(1)
            return after.kind != "name" or after.text in CONVERTING or after.text in _INFIX_WORDS
        if token.text in CONVERTING or token.text in _INFIX_WORDS:
            return False
        return self._peek(1).text != "(" or token.text not in FUNCTIONS

    def _measured(self, value: Node) -> Node:
        node: Node = Binary("*", value, self._powered_unit())
        if self._here().kind == "number":  # 5 ft 10 in
            node = Binary("and", node, self._expression(_UNIT - 1))
        return node

    def _powered_unit(self) -> Node:
        token = self._advance()
        unit: Node = Unit("degree" if token.text == "°" else token.text)
        if self._here().text == "^":
            self._advance()
            unit = Binary("^", unit, self._expression(_SIGN - 1 if self._here().text == "-" else _POWER))
        return unit

    def _at_conversion(self) -> bool:
        return self._here().text in CONVERTING or self._here().text == "->"

    def _conversion(self, value: Node) -> Conversion:
        self._advance()
        start = self._here()
        if not (start.kind == "name" or start.text == "°"):
            raise InvalidExpression("Name a unit to convert to, as in: 5 km to miles.")
        target = self._powered_unit()
        while self._here().text in {"*", "/", "per"}:
            symbol = "*" if self._advance().text == "*" else "/"
            if self._here().kind != "name":
                raise InvalidExpression("A unit to convert to is made of unit names only, as in: km/h.")
            target = Binary(symbol, target, self._powered_unit())
        label = self._text[start.start : self._tokens[self._next - 1].end]
        return Conversion(value, target, " ".join(label.split()))

    # Moving over the tokens

    def _here(self) -> Token:
        return self._tokens[self._next]

    def _peek(self, ahead: int) -> Token:
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def _advance(self) -> Token:
        token = self._here()
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _expect(self, text: str) -> None:
        if self._here().text != text or self._here().kind != "operator":
            raise InvalidExpression(f"A {text!r} is missing before {_place(self._here())}.")
        self._advance()

    def _unexpected(self, token: Token) -> InvalidExpression:
        if token.kind == "end":
            return InvalidExpression("The expression ends too early: an operand is missing at the end.")
        return InvalidExpression(f"{_place(token)} is not expected there.")


def _operator(text: str) -> tuple[str, int, bool] | None:
    if text == "%":  # what _at_percentage left: a remainder
        return "mod", _PRODUCT, True
    if text in _INFIX:
        return text, _INFIX[text], True
    return ("*", _PRODUCT, False) if text in {"(", "√", "∛"} else None


def _place(token: Token) -> str:
    return "the end" if token.kind == "end" else f"{token.text!r} at position {token.start + 1}"


def _fraction(text: str) -> Fraction:
    lowered = text.lower().replace("_", "")
    if lowered[:2] in {"0x", "0b", "0o"}:
        return Fraction(int(lowered, 0))
    mantissa, _, exponent = lowered.partition("e")
    if exponent and (len(exponent) > 7 or abs(int(exponent)) > MAX_DECIMAL_EXPONENT):
        raise TooLarge(f"The exponent of {text[:40]} is beyond {MAX_DECIMAL_EXPONENT}.")
    return Fraction(mantissa.removesuffix(".") or "0") * Fraction(10) ** int(exponent or "0")
