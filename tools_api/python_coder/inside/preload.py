"""What a waiting sandbox has imported before code comes to it. Run by the zygote (`tools_api/sandbox/warm`).

It imports what is installed, nothing else must be there, and does each expensive first thing once: the first plot of a
process takes 50 ms more than the second. What is left of that are modules and caches, no data.
"""

from __future__ import annotations

import importlib
import os
import sys

HERE = os.path.dirname(__file__)  # noqa: PTH120 - as in run_code.py
SCRIPTS = (f"{HERE}/run_code.py",)
NEEDED_BY_RUNS = ("atexit", "linecache", "threading", "traceback")
USEFUL = ("datetime", "json", "math", "re", "statistics")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def preload() -> None:
    """Import, use once, and leave the interpreter as a fresh one would be."""
    sys.path += [os.environ["PYTHONPATH"], HERE]
    for name in (*NEEDED_BY_RUNS, *USEFUL):
        importlib.import_module(name)
    import fonts

    fonts.link_cache(os.environ["PYTHONPATH"])
    del sys.modules["fonts"]  # the code may have a module of that name
    for name, use in (("numpy.random", None), ("pandas", _use_pandas), ("matplotlib.pyplot", _use_pyplot)):
        try:
            module: Any = importlib.import_module(name)
        except ImportError:
            continue
        if use:
            use(module)
    import figures

    figures.watch()


def refresh() -> None:
    """Make a worker differ from all others: numpy's one random state is copied by a fork. Python reseeds its own."""
    random: Any = sys.modules.get("numpy.random")
    if random:
        random.seed()


def _use_pandas(pandas: Any) -> None:
    pandas.DataFrame({"key": ["a", "b"], "value": [1, 2]}).groupby("key").sum().to_string()


def _use_pyplot(pyplot: Any) -> None:
    import io

    figure = pyplot.figure()
    figure.gca().plot([1, 2, 3])
    figure.savefig(io.BytesIO(), bbox_inches="tight")
    pyplot.close("all")
