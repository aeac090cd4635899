"""Programs about lists of numbers."""

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import accumulate

from main_api.bundled_model.corpus.programs.task import Task

_STATISTICS = "import statistics\n\nprint(statistics.{}($xs))"
_MATH = "import math\n\nprint(math.{})"
_OF_NUMBERS = "numbers = $xs\nprint({})"
LISTS: Mapping[str, Task] = {
    "sum": Task("numbers", "print(sum($xs))", lambda g: [sum(g["xs"])], 5),
    "mean": Task("few", _STATISTICS.format("mean"), lambda g: [statistics.mean(g["xs"])], 5),
    "median": Task("numbers", _STATISTICS.format("median"), lambda g: [statistics.median(g["xs"])], 4),
    "mode": Task("repeated", _STATISTICS.format("mode"), lambda g: [statistics.mode(g["xs"])]),
    "stdev": Task("numbers", _STATISTICS.format("stdev"), lambda g: [statistics.stdev(g["xs"])]),
    "variance": Task("numbers", _STATISTICS.format("variance"), lambda g: [statistics.variance(g["xs"])], 0.5),
    "max": Task("few", "print(max($xs))", lambda g: [max(g["xs"])], 3),
    "min": Task("few", "print(min($xs))", lambda g: [min(g["xs"])], 3),
    "ends": Task("numbers", _OF_NUMBERS.format("min(numbers), max(numbers)"), lambda g: [_both(g["xs"])]),
    "spread": Task(
        "numbers", _OF_NUMBERS.format("max(numbers) - min(numbers)"), lambda g: [max(g["xs"]) - min(g["xs"])]
    ),
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


def _both(numbers: Sequence[float]) -> str:
    return f"{min(numbers)} {max(numbers)}"


def _running(numbers: Sequence[float]) -> list[float]:
    return list(accumulate(numbers))
