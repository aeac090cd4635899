"""Numbers and expressions as people type them, beside the canonical form that goes into a call."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from main_api.bundled_model.corpus.calculations.arithmetic import value_of
from main_api.bundled_model.corpus.language.numbers import in_words

_TIMES = (" * ", " * ", " * ", " x ", " x ", " × ", "*", "*", "x", "×", " · ", " X ")
_OVER = (" / ", " / ", " / ", "/", "/", " ÷ ", "÷")
_POWER = (" ** ", "**", "^", "^", " ^ ")
_OPERATORS: dict[str, tuple[str, ...]] = {
    "+": (" + ", " + ", "+"),
    "-": (" - ", " - ", "-"),
    "*": _TIMES,
    "/": _OVER,
    "**": _POWER,
}


@dataclass(frozen=True, slots=True)
class Style:
    """How the numbers of one request are written: what is typed and what it stands for."""

    write: Callable[[Random, int], str]
    largest: int
    decimals: float

    def written(self, rng: Random, number: int) -> tuple[str, str]:
        """Return `number` as it is typed and as it is."""
        return (self.write if number <= self.largest else _digits)(rng, number), str(number)

    def number(self, rng: Random) -> tuple[str, str]:
        """Return any number as it is typed and as it is."""
        if rng.random() < self.decimals:
            text = decimal(rng)
            return text, text
        return self.written(rng, self._usual(rng))

    def _usual(self, rng: Random) -> int:
        if self.largest < 1000 and rng.random() < 0.6:
            return rng.randint(2, min(self.largest, 20))
        if self.largest < 1000:
            return rng.choice((rng.randint(21, 99), rng.randint(2, 9) * 10, rng.randint(1, 9) * 100))
        return whole(rng)


def style(rng: Random) -> Style:
    """Return the style of one request: mostly digits, sometimes words, separators or decimals."""
    chance = rng.random()
    if chance < 0.14:
        return Style(in_words, 999, 0)
    if chance < 0.18:
        return Style(_mixed, 999, 0)
    if chance < 0.3:
        return Style(_separated, 10**9, 0.1)
    return Style(_digits, 10**9, 0.12)


def whole(rng: Random) -> int:
    """Return a positive whole number, mostly a short one."""
    digits = rng.choices((1, 2, 3, 4, 5, 6, 7), (6, 12, 9, 5, 2, 1, 0.5))[0]
    number = rng.randint(10 ** (digits - 1), 10**digits - 1)
    if digits > 1 and rng.random() < 0.25:
        number = max(number // 10 ** (digits - 1), 1) * 10 ** (digits - 1)
    return number + (number == 1)


def decimal(rng: Random) -> str:
    """Return a number with one to three decimals."""
    places = rng.choices((1, 2, 3), (5, 6, 1))[0]
    return f"{rng.randint(0, rng.choice((9, 99, 999)))}.{rng.randint(1, 10**places - 1):0{places}d}"


def expression(rng: Random) -> tuple[str, str]:
    """Return an expression as somebody types it and as the calculator is to get it. It has a value."""
    while True:
        typed, canonical = _Writer(rng).expression(rng.choices((1, 2, 3, 4, 5), (8, 5, 3, 1.5, 0.5))[0])
        if value_of(canonical):
            return typed, canonical


class _Writer:
    """Writes expressions in one person's manner: the same signs, the same spacing."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        strip = rng.random() < 0.3
        signs = {operator: rng.choice(ways) for operator, ways in _OPERATORS.items()}
        self._signs = {operator: sign.strip() if strip else sign for operator, sign in signs.items()}
        self._currency = rng.choice("$€£") if rng.random() < 0.05 else ""
        self._commas = rng.random() < 0.12
        self._decimals = rng.choice((0, 0, 0, 0.3))
        self._root = "sqrt({})" if rng.random() < 0.8 else rng.choice(("√{}", "√({})", "sqrt {}", "sqrt( {} )"))

    def expression(self, operators: int) -> tuple[str, str]:
        chance = self._rng.random()
        if operators == 1 and chance < 0.1:
            return self._root_of()
        if operators == 1 and chance < 0.2:
            return self._percent()
        if operators > 1 and chance < 0.12:
            return self._chain(self._rng.randint(3, 7 if chance < 0.06 else 5))
        typed, canonical = self._sum_of(operators)
        if chance > 0.97 and canonical[0].isdigit():
            return f"-{typed}", f"-{canonical}"
        return typed, canonical

    def _chain(self, count: int) -> tuple[str, str]:
        operator = self._rng.choice(("+", "+", "+", "*", "-"))
        typed, canonical = self._number()
        for _ in range(count - 1):
            typed, canonical = self._joined(operator, (typed, canonical), self._number())
        return typed, canonical

    def _sum_of(self, operators: int, depth: int = 0) -> tuple[str, str]:
        if operators == 0:
            return self._number()
        split = self._rng.randrange(operators)
        operator = self._rng.choices(("+", "-", "*", "/", "**"), (5, 5, 6, 4, 1))[0]
        if operator == "**":
            typed, canonical = self._number() if operators > 1 or self._rng.random() < 0.5 else self._small()
            power = str(self._rng.choice((2, 2, 3, 3, 4, 5, 8, 10)))
            left = (f"{typed}{self._signs['**']}{power}", f"{canonical} ** {power}")
            return left if operators == 1 else self._joined("+", left, self._sum_of(operators - 2, depth))
        left = self._operand(split, operator, depth, left=True)
        right = self._operand(operators - 1 - split, operator, depth, left=False)
        return self._joined(operator, left, right)

    def _operand(self, operators: int, operator: str, depth: int, *, left: bool) -> tuple[str, str]:
        if operators == 0 and self._rng.random() < 0.05:
            return self._root_of()
        typed, canonical = self._sum_of(operators, depth + 1)
        needless = operators == 0 or (left and operator in "+-")
        if needless or (operator == "+" and self._rng.random() < 0.6):
            return typed, canonical
        return f"({typed})", f"({canonical})"

    def _joined(self, operator: str, left: tuple[str, str], right: tuple[str, str]) -> tuple[str, str]:
        return f"{left[0]}{self._signs[operator]}{right[0]}", f"{left[1]} {operator} {right[1]}"

    def _root_of(self) -> tuple[str, str]:
        number = str(self._rng.randint(2, 30) ** 2 if self._rng.random() < 0.6 else whole(self._rng))
        return self._root.format(number), f"sqrt({number})"

    def _percent(self) -> tuple[str, str]:
        rng = self._rng
        percent = str(rng.choice((5, 10, 15, 20, 25, 30, 50, rng.randint(1, 120), f"{rng.randint(1, 20)}.5")))
        typed, canonical = self._number()
        return f"{percent}{rng.choice(('%', '%', '%', ' %'))} of {typed}", f"{percent}% of {canonical}"

    def _small(self) -> tuple[str, str]:
        number = str(self._rng.randint(2, 12))
        return number, number

    def _number(self) -> tuple[str, str]:
        if self._rng.random() < self._decimals:
            text = decimal(self._rng)
            return f"{self._currency}{text}", text
        number = whole(self._rng)
        return self._currency + (f"{number:,}" if self._commas else str(number)), str(number)


def _digits(rng: Random, number: int) -> str:
    return str(number)


def _separated(rng: Random, number: int) -> str:
    return f"{number:,}"


def _mixed(rng: Random, number: int) -> str:
    return in_words(rng, number) if rng.random() < 0.5 else str(number)
