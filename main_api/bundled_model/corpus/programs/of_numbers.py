"""Programs that need no data: series of numbers, properties of one number, dates, chance; and expressions."""

import datetime
import functools
import math
import re
from collections.abc import Mapping, Sequence

from main_api.bundled_model.corpus.calculations.arithmetic import value_of
from main_api.bundled_model.corpus.programs.task import Task


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


_MATH = "import math\n\nprint(math.{})"
_DATE = "from datetime import date\n\nprint({})"
NUMBERS: Mapping[str, Task] = {
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
