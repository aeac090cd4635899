"""Programs that read a CSV file or draw a plot."""

from collections.abc import Mapping

from main_api.bundled_model.corpus.programs.task import Task

_CSV = 'import csv\n\nrows = list(csv.DictReader(open("$f")))\n{}'
_CELLS = 'float(row["$c"]) for row in rows'
_PLOT = "import matplotlib.pyplot as plt\n\n{}\nplt.show()"
_CURVE = (
    "import math\nimport matplotlib.pyplot as plt\n\nxs = [i / 10 for i in range(63)]\n"
    "plt.plot(xs, [{} for x in xs])\nplt.show()"
)
_PARABOLA = "import matplotlib.pyplot as plt\n\nxs = range(-10, 11)\nplt.plot(xs, [{} for x in xs])\nplt.show()"
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
