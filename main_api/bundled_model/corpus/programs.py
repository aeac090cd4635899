"""The one canonical program of each task, and what it prints, computed here without running the program.

`$xs`, `$n`, `$k`, `$m`, `$t`, `$c`, `$d`, `$f` and `$ls` are what a request fills in.
"""

import datetime
import functools
import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from string import Template
from typing import Any

from main_api.bundled_model.corpus.arithmetic import value_of

Given = Mapping[str, Any]
Printed = Callable[[Given], Sequence[object]]


@dataclass(frozen=True, slots=True)
class Task:
    """A task: what its requests fill in, its program, and the lines that this prints (None: it draws instead)."""

    inputs: str
    program: str
    printed: Printed | None
    weight: float = 1.0

    def code(self, given: Mapping[str, str]) -> str:
        """Return the program with the texts of `given` in it."""
        return Template(self.program).substitute(given)


@functools.cache
def primes(most: int) -> Sequence[int]:
    """Return the primes up to `most`."""
    return [n for n in range(2, most + 1) if all(n % d for d in range(2, math.isqrt(n) + 1))]


def fibonacci(count: int) -> list[int]:
    """Return the first Fibonacci numbers, from 0."""
    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append(numbers[-1] + numbers[-2])
    return numbers[:count]


def arithmetic_program(expression: str) -> tuple[str, str] | None:
    """Return the program for an expression and what it prints; None where that would not be an everyday number."""
    if root := re.fullmatch(r"sqrt\((\d+)\)", expression):
        return f"import math\n\nprint(math.{expression})", str(math.sqrt(int(root[1])))
    if quotient := re.fullmatch(r"(\d+) / (\d+)", expression):
        return f"print({expression})", str(int(quotient[1]) / int(quotient[2]))
    if re.search(r"[/.%s]", expression):
        return None
    return f"print({expression})", value_of(expression)


def _factors(n: int) -> list[int]:
    found: list[int] = []
    d = 2
    while n > 1:
        while n % d == 0:
            found.append(d)
            n //= d
        d += 1
    return found


def _fizz_buzz(i: int) -> object:
    return "FizzBuzz" if i % 15 == 0 else "Fizz" if i % 3 == 0 else "Buzz" if i % 5 == 0 else i


def _date(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


_STATISTICS = "import statistics\n\nprint(statistics.{}($xs))"
_MATH = "import math\n\nprint(math.{})"
_NUMBERS = "numbers = $xs\nprint({})"
_CSV = 'import csv\n\nrows = list(csv.DictReader(open("$f")))\n{}'
_CELLS = 'float(row["$c"]) for row in rows'
_PLOT = "import matplotlib.pyplot as plt\n\n{}\nplt.show()"
_CURVE = (
    "import math\nimport matplotlib.pyplot as plt\n\nxs = [i / 10 for i in range(63)]\n"
    "plt.plot(xs, [{} for x in xs])\nplt.show()"
)
_PARABOLA = "import matplotlib.pyplot as plt\n\nxs = range(-10, 11)\nplt.plot(xs, [{} for x in xs])\nplt.show()"
_DATE = "from datetime import date\n\nprint({})"

LISTS: Mapping[str, Task] = {
    "sum": Task("numbers", "print(sum($xs))", lambda g: [sum(g["xs"])], 5),
    "mean": Task("few", _STATISTICS.format("mean"), lambda g: [statistics.mean(g["xs"])], 5),
    "median": Task("numbers", _STATISTICS.format("median"), lambda g: [statistics.median(g["xs"])], 4),
    "mode": Task("repeated", _STATISTICS.format("mode"), lambda g: [statistics.mode(g["xs"])]),
    "stdev": Task("numbers", _STATISTICS.format("stdev"), lambda g: [statistics.stdev(g["xs"])]),
    "variance": Task("numbers", _STATISTICS.format("variance"), lambda g: [statistics.variance(g["xs"])], 0.5),
    "max": Task("few", "print(max($xs))", lambda g: [max(g["xs"])], 3),
    "min": Task("few", "print(min($xs))", lambda g: [min(g["xs"])], 3),
    "ends": Task("numbers", _NUMBERS.format("min(numbers), max(numbers)"), lambda g: [_both(g["xs"])]),
    "spread": Task("numbers", _NUMBERS.format("max(numbers) - min(numbers)"), lambda g: [max(g["xs"]) - min(g["xs"])]),
    "product": Task("numbers", _MATH.format("prod($xs)"), lambda g: [math.prod(g["xs"])]),
    "sort": Task("numbers", "print(sorted($xs))", lambda g: [sorted(g["xs"])], 4),
    "descending": Task("numbers", "print(sorted($xs, reverse=True))", lambda g: [sorted(g["xs"], reverse=True)], 3),
    "even": Task("wholes", "print([n for n in $xs if n % 2 == 0])", lambda g: [[n for n in g["xs"] if n % 2 == 0]], 2),
    "odd": Task("wholes", "print([n for n in $xs if n % 2 == 1])", lambda g: [[n for n in g["xs"] if n % 2 == 1]], 2),
    "greater": Task("numbers", "print([n for n in $xs if n > $k])", lambda g: [[n for n in g["xs"] if n > g["k"]]], 2),
    "less": Task("numbers", "print([n for n in $xs if n < $k])", lambda g: [[n for n in g["xs"] if n < g["k"]]], 2),
    "divisible": Task(
        "wholes", "print([n for n in $xs if n % $m == 0])", lambda g: [[n for n in g["xs"] if n % g["m"] == 0]]
    ),
    "how_many": Task("numbers", "print(len($xs))", lambda g: [len(g["xs"])], 1.5),
    "occurrences": Task("repeated", "print($xs.count($k))", lambda g: [g["xs"].count(g["k"])]),
    "unique": Task("repeated", "print(list(dict.fromkeys($xs)))", lambda g: [list(dict.fromkeys(g["xs"]))], 2),
    "reverse": Task("numbers", "print($xs[::-1])", lambda g: [g["xs"][::-1]], 2),
    "squares": Task("wholes", "print([n ** 2 for n in $xs])", lambda g: [[n**2 for n in g["xs"]]], 1.5),
    "sum_squares": Task("wholes", "print(sum(n ** 2 for n in $xs))", lambda g: [sum(n**2 for n in g["xs"])], 0.7),
    "scaled": Task("wholes", "print([n * $m for n in $xs])", lambda g: [[n * g["m"] for n in g["xs"]]]),
    "shifted": Task("wholes", "print([n + $m for n in $xs])", lambda g: [[n + g["m"] for n in g["xs"]]], 0.7),
    "running": Task(
        "numbers",
        "from itertools import accumulate\n\nprint(list(accumulate($xs)))",
        lambda g: [_running(g["xs"])],
        0.7,
    ),
    "largest_few": Task(
        "numbers", "print(sorted($xs, reverse=True)[:$m])", lambda g: [sorted(g["xs"], reverse=True)[: g["m"]]], 0.8
    ),
    "second_smallest": Task("numbers", "print(sorted($xs)[1])", lambda g: [sorted(g["xs"])[1]], 0.5),
    "count_even": Task("wholes", "print(sum(n % 2 == 0 for n in $xs))", lambda g: [sum(n % 2 == 0 for n in g["xs"])]),
    "count_odd": Task(
        "wholes", "print(sum(n % 2 == 1 for n in $xs))", lambda g: [sum(n % 2 == 1 for n in g["xs"])], 0.6
    ),
    "count_greater": Task("numbers", "print(sum(n > $k for n in $xs))", lambda g: [sum(n > g["k"] for n in g["xs"])]),
    "count_less": Task("numbers", "print(sum(n < $k for n in $xs))", lambda g: [sum(n < g["k"] for n in g["xs"])], 0.7),
    "sum_of_even": Task(
        "wholes", "print(sum(n for n in $xs if n % 2 == 0))", lambda g: [sum(n for n in g["xs"] if n % 2 == 0)]
    ),
    "sum_of_odd": Task(
        "wholes", "print(sum(n for n in $xs if n % 2 == 1))", lambda g: [sum(n for n in g["xs"] if n % 2 == 1)], 0.7
    ),
    "contains": Task("numbers", "print($k in $xs)", lambda g: [g["k"] in g["xs"]], 0.8),
    "cubes": Task("wholes", "print([n ** 3 for n in $xs])", lambda g: [[n**3 for n in g["xs"]]], 0.6),
    "doubled": Task("wholes", "print([n * 2 for n in $xs])", lambda g: [[n * 2 for n in g["xs"]]], 0.8),
    "positive": Task("numbers", "print([n for n in $xs if n > 0])", lambda g: [[n for n in g["xs"] if n > 0]], 0.5),
    "negative": Task("numbers", "print([n for n in $xs if n < 0])", lambda g: [[n for n in g["xs"] if n < 0]], 0.5),
    "second": Task("numbers", "print(sorted($xs)[-2])", lambda g: [sorted(g["xs"])[-2]], 0.8),
}

COUNTS: Mapping[str, Task] = {
    "fibonacci": Task(
        "count", "a, b = 0, 1\nfor _ in range($n):\n    print(a)\n    a, b = b, a + b", lambda g: fibonacci(g["n"]), 5
    ),
    "nth_fibonacci": Task(
        "count",
        "a, b = 0, 1\nfor _ in range($n):\n    a, b = b, a + b\nprint(a)",
        lambda g: [fibonacci(g["n"] + 1)[-1]],
        1.5,
    ),
    "fibonacci_up_to": Task(
        "large",
        "a, b = 0, 1\nwhile a <= $n:\n    print(a)\n    a, b = b, a + b",
        lambda g: [number for number in fibonacci(40) if number <= g["n"]],
    ),
    "primes_up_to": Task(
        "limit",
        "print([n for n in range(2, $n + 1) if all(n % d for d in range(2, n))])",
        lambda g: [primes(g["n"])],
        3,
    ),
    "first_primes": Task(
        "count",
        "primes = []\nn = 2\nwhile len(primes) < $n:\n    if all(n % d for d in primes):\n"
        "        primes.append(n)\n    n += 1\nprint(primes)",
        lambda g: [primes(1000)[: g["n"]]],
        3,
    ),
    "nth_prime": Task(
        "count",
        "primes = []\nn = 2\nwhile len(primes) < $n:\n    if all(n % d for d in primes):\n"
        "        primes.append(n)\n    n += 1\nprint(primes[-1])",
        lambda g: [primes(1000)[int(g["n"]) - 1]],
    ),
    "sum_odd": Task("large", "print(sum(range(1, $n + 1, 2)))", lambda g: [sum(range(1, g["n"] + 1, 2))], 0.5),
    "primes_below": Task(
        "limit",
        "print([n for n in range(2, $n) if all(n % d for d in range(2, n))])",
        lambda g: [primes(g["n"] - 1)],
        1.5,
    ),
    "primes_span": Task(
        "upper_span",
        "print([n for n in range($k, $m + 1) if all(n % d for d in range(2, n))])",
        lambda g: [[n for n in primes(g["m"]) if n >= g["k"]]],
    ),
    "prime_count": Task(
        "limit",
        "print(sum(all(n % d for d in range(2, n)) for n in range(2, $n + 1)))",
        lambda g: [len(primes(g["n"]))],
    ),
    "fibonacci_below": Task(
        "large",
        "a, b = 0, 1\nwhile a < $n:\n    print(a)\n    a, b = b, a + b",
        lambda g: [number for number in fibonacci(40) if number < g["n"]],
    ),
    "even_below": Task("limit", "print(list(range(2, $n, 2)))", lambda g: [list(range(2, g["n"], 2))], 0.7),
    "powers": Task(
        "table", "print([$k ** i for i in range($n)])", lambda g: [[g["k"] ** i for i in range(g["n"])]], 0.8
    ),
    "squares_sum": Task(
        "count", "print(sum(i ** 2 for i in range(1, $n + 1)))", lambda g: [sum(i**2 for i in range(1, g["n"] + 1))]
    ),
    "is_odd": Task("large", "print($n % 2 == 1)", lambda g: [g["n"] % 2 == 1], 0.5),
    "is_prime": Task(
        "large", "n = $n\nprint(n > 1 and all(n % d for d in range(2, n)))", lambda g: [_factors(g["n"]) == [g["n"]]], 2
    ),
    "factors": Task(
        "large",
        "n = $n\nd = 2\nwhile n > 1:\n    while n % d == 0:\n        print(d)\n        n //= d\n    d += 1",
        lambda g: _factors(g["n"]),
        0.8,
    ),
    "divisors": Task(
        "large",
        "n = $n\nprint([d for d in range(1, n + 1) if n % d == 0])",
        lambda g: [[d for d in range(1, g["n"] + 1) if g["n"] % d == 0]],
    ),
    "factorial": Task("count", _MATH.format("factorial($n)"), lambda g: [math.factorial(g["n"])], 3),
    "gcd": Task("pair", _MATH.format("gcd($k, $m)"), lambda g: [math.gcd(g["k"], g["m"])], 1.5),
    "lcm": Task("pair", _MATH.format("lcm($k, $m)"), lambda g: [math.lcm(g["k"], g["m"])]),
    "table": Task(
        "table",
        'for i in range(1, 10 + 1):\n    print(f"$k x {i} = {$k * i}")',
        lambda g: [f"{g['k']} x {i} = {g['k'] * i}" for i in range(1, 11)],
        1.5,
    ),
    "long_table": Task(
        "table",
        'for i in range(1, $n + 1):\n    print(f"$k x {i} = {$k * i}")',
        lambda g: [f"{g['k']} x {i} = {g['k'] * i}" for i in range(1, g["n"] + 1)],
    ),
    "multiples": Task(
        "table", "print([$k * i for i in range(1, $n + 1)])", lambda g: [[g["k"] * i for i in range(1, g["n"] + 1)]]
    ),
    "sum_up_to": Task("large", "print(sum(range(1, $n + 1)))", lambda g: [sum(range(1, g["n"] + 1))], 2),
    "sum_span": Task("span", "print(sum(range($k, $m + 1)))", lambda g: [sum(range(g["k"], g["m"] + 1))], 0.7),
    "even_up_to": Task("count", "print(list(range(2, $n + 1, 2)))", lambda g: [list(range(2, g["n"] + 1, 2))], 1.5),
    "odd_up_to": Task("count", "print(list(range(1, $n + 1, 2)))", lambda g: [list(range(1, g["n"] + 1, 2))]),
    "sum_even": Task("large", "print(sum(range(2, $n + 1, 2)))", lambda g: [sum(range(2, g["n"] + 1, 2))], 0.7),
    "count_up": Task("count", "for i in range(1, $n + 1):\n    print(i)", lambda g: range(1, g["n"] + 1)),
    "span": Task("span", "for i in range($k, $m + 1):\n    print(i)", lambda g: range(g["k"], g["m"] + 1), 0.7),
    "countdown": Task("count", "for i in range($n, 0, -1):\n    print(i)", lambda g: range(g["n"], 0, -1), 1.5),
    "square_numbers": Task(
        "count", "print([i ** 2 for i in range(1, $n + 1)])", lambda g: [[i**2 for i in range(1, g["n"] + 1)]], 1.5
    ),
    "cube_numbers": Task(
        "count", "print([i ** 3 for i in range(1, $n + 1)])", lambda g: [[i**3 for i in range(1, g["n"] + 1)]], 0.6
    ),
    "powers_of_two": Task(
        "count", "print([2 ** i for i in range($n)])", lambda g: [[2**i for i in range(g["n"])]], 1.5
    ),
    "fizz_buzz": Task(
        "count",
        'for i in range(1, $n + 1):\n    print("FizzBuzz" if i % 15 == 0 else "Fizz" if i % 3 == 0 '
        'else "Buzz" if i % 5 == 0 else i)',
        lambda g: [_fizz_buzz(i) for i in range(1, g["n"] + 1)],
        2,
    ),
    "digit_sum": Task("large", 'print(sum(int(d) for d in "$n"))', lambda g: [sum(int(d) for d in str(g["n"]))]),
    "binary": Task("large", "print(bin($n)[2:])", lambda g: [bin(g["n"])[2:]]),
    "hexadecimal": Task("large", "print(hex($n)[2:])", lambda g: [hex(g["n"])[2:]], 0.5),
    "from_binary": Task("bits", 'print(int("$t", 2))', lambda g: [int(g["t"], 2)], 0.6),
    "is_even": Task("large", "print($n % 2 == 0)", lambda g: [g["n"] % 2 == 0], 0.6),
    "random": Task("span", "import random\n\nprint(random.randint($k, $m))", lambda g: [g["drawn"]], 0.8),
    "dice": Task("nothing", "import random\n\nprint(random.randint(1, 6))", lambda g: [g["drawn"] % 6 + 1], 0.4),
    "days_between": Task(
        "dates",
        _DATE.format('(date.fromisoformat("$d") - date.fromisoformat("$c")).days'),
        lambda g: [(_date(g["d"]) - _date(g["c"])).days],
    ),
    "weekday": Task(
        "date", _DATE.format('date.fromisoformat("$d").strftime("%A")'), lambda g: [_date(g["d"]).strftime("%A")]
    ),
    "days_after": Task(
        "later",
        'from datetime import date, timedelta\n\nprint(date.fromisoformat("$d") + timedelta(days=$n))',
        lambda g: [_date(g["d"]) + datetime.timedelta(days=g["n"])],
        0.6,
    ),
    "leap": Task(
        "year",
        "import calendar\n\nprint(calendar.isleap($n))",
        lambda g: [g["n"] % 4 == 0 and (g["n"] % 100 != 0 or g["n"] % 400 == 0)],
    ),
}

TEXTS: Mapping[str, Task] = {
    "words": Task("sentence", 'print(len("$t".split()))', lambda g: [len(g["t"].split())], 3),
    "letters": Task("text", 'print(sum(c.isalpha() for c in "$t"))', lambda g: [sum(c.isalpha() for c in g["t"])], 2.5),
    "characters": Task("text", 'print(len("$t"))', lambda g: [len(g["t"])], 1.5),
    "vowels": Task(
        "text",
        'print(sum(c in "aeiou" for c in "$t".lower()))',
        lambda g: [sum(c in "aeiou" for c in g["t"].lower())],
        3,
    ),
    "letter_count": Task("letter", 'print("$t".lower().count("$c"))', lambda g: [g["t"].lower().count(g["c"])], 2.5),
    "upper": Task("text", 'print("$t".upper())', lambda g: [g["t"].upper()], 2),
    "lower": Task("text", 'print("$t".lower())', lambda g: [g["t"].lower()]),
    "title": Task("text", 'print("$t".title())', lambda g: [g["t"].title()], 0.7),
    "backwards": Task("text", 'print("$t"[::-1])', lambda g: [g["t"][::-1]], 3),
    "palindrome": Task(
        "word", 't = "$t".lower()\nprint(t == t[::-1])', lambda g: [g["t"].lower() == g["t"].lower()[::-1]], 2
    ),
    "reverse_words": Task(
        "sentence", 'print(" ".join("$t".split()[::-1]))', lambda g: [" ".join(g["t"].split()[::-1])], 0.8
    ),
    "longest": Task("sentence", 'print(max("$t".split(), key=len))', lambda g: [max(g["t"].split(), key=len)]),
    "no_spaces": Task("sentence", 'print("$t".replace(" ", ""))', lambda g: [g["t"].replace(" ", "")], 0.6),
    "replace": Task("swap", 'print("$t".replace("$c", "$d"))', lambda g: [g["t"].replace(g["c"], g["d"])], 0.8),
    "repeat": Task("repeat", 'for _ in range($n):\n    print("$t")', lambda g: [g["t"]] * g["n"], 2),
    "print": Task("text", 'print("$t")', lambda g: [g["t"]], 1.2),
    "hello": Task("nothing", 'print("Hello, World!")', lambda g: ["Hello, World!"], 0.6),
    "letter_counts": Task(
        "short",
        'from collections import Counter\n\nprint(dict(Counter("$t")))',
        lambda g: [_counted(g["t"])],
        0.7,
    ),
    "sort_letters": Task("short", 'print("".join(sorted("$t")))', lambda g: ["".join(sorted(g["t"]))], 0.6),
    "split": Task("sentence", 'print("$t".split())', lambda g: [g["t"].split()], 0.6),
    "no_vowels": Task(
        "text",
        'print("".join(c for c in "$t" if c.lower() not in "aeiou"))',
        lambda g: ["".join(c for c in g["t"] if c.lower() not in "aeiou")],
        0.6,
    ),
    "capitals": Task(
        "sentence", 'print(sum(c.isupper() for c in "$t"))', lambda g: [sum(c.isupper() for c in g["t"])], 0.5
    ),
    "anagram": Task(
        "anagram", 'print(sorted("$c") == sorted("$d"))', lambda g: [sorted(g["c"]) == sorted(g["d"])], 0.7
    ),
    "sort_by_length": Task("words", "print(sorted($ls, key=len))", lambda g: [sorted(g["ls"], key=len)], 0.7),
    "sort_words_descending": Task(
        "words", "print(sorted($ls, reverse=True))", lambda g: [sorted(g["ls"], reverse=True)], 0.5
    ),
    "reverse_list": Task("words", "print($ls[::-1])", lambda g: [list(reversed(g["ls"]))], 0.7),
    "sort_words": Task("words", "print(sorted($ls))", lambda g: [sorted(g["ls"])], 1.5),
    "longest_of": Task("words", "print(max($ls, key=len))", lambda g: [max(g["ls"], key=len)], 0.8),
}

FILES: Mapping[str, Task] = {
    "csv_sum": Task("column", _CSV.format(f"print(sum({_CELLS}))"), lambda g: [g["cell"]], 2),
    "csv_mean": Task(
        "column",
        f'import csv\nimport statistics\n\nrows = list(csv.DictReader(open("$f")))\nprint(statistics.mean({_CELLS}))',
        lambda g: [g["cell"]],
        2,
    ),
    "csv_max": Task("column", _CSV.format(f"print(max({_CELLS}))"), lambda g: [g["cell"]]),
    "csv_min": Task("column", _CSV.format(f"print(min({_CELLS}))"), lambda g: [g["cell"]]),
    "csv_rows": Task("file", _CSV.format("print(len(rows))"), lambda g: [int(g["cell"])], 1.5),
    "csv_head": Task("rows", _CSV.format("for row in rows[:$n]:\n    print(row)"), lambda g: g["rows"], 1.2),
    "csv_columns": Task("file", _CSV.format("print(list(rows[0]))"), lambda g: [g["names"]], 1.2),
}

PLOTS: Mapping[str, Task] = {
    "line": Task("series", _PLOT.format("plt.plot($xs)"), None, 3),
    "bars": Task("series", _PLOT.format("values = $xs\nplt.bar(range(len(values)), values)"), None, 2),
    "histogram": Task("series", _PLOT.format("plt.hist($xs)"), None, 2),
    "labelled_bars": Task("labelled", _PLOT.format("plt.bar($ls, $xs)"), None, 2),
    "pie": Task("labelled", _PLOT.format("plt.pie($xs, labels=$ls)"), None, 1.5),
    "xy": Task("xy", _PLOT.format("plt.plot($xs, $ys)"), None),
    "scatter": Task("xy", _PLOT.format("plt.scatter($xs, $ys)"), None),
    "sine": Task("nothing", _CURVE.format("math.sin(x)"), None, 1.5),
    "cosine": Task("nothing", _CURVE.format("math.cos(x)"), None, 0.7),
    "parabola": Task("nothing", _PARABOLA.format("x ** 2"), None),
    "cubic": Task("nothing", _PARABOLA.format("x ** 3"), None, 0.4),
}


def _both(numbers: Sequence[float]) -> str:
    return f"{min(numbers)} {max(numbers)}"


def _running(numbers: Sequence[float]) -> list[float]:
    return list(accumulate(numbers))


def _counted(text: str) -> dict[str, int]:
    return dict(Counter(text))
