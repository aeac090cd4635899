"""The process that computes: reads expressions from stdin, one JSON object a line, and answers each with a line.

Run as `python -m tools_api.calculator.worker` by `pool.py`, which kills it when an answer takes too long. It holds
itself to a memory limit, and to a time limit in case nobody is left to kill it. It says `{"ready": true}` when warm.
"""

import contextlib
import resource
import signal
import sys
import time
from typing import Any

import orjson

from tools_api.calculator.errors import CalculationError

_MEMORY_BYTES = 768 * 1024 * 1024
_ALARM_S = 5.0  # a multiple of the pool's limit: only for the orphan of a killed server
_WARM_UP = ("2**8 + sqrt(16) * pi", "sin(2) + log(3, 10) + 15% of 80", "100 F to C", "60 km/h to m/s", "asin(2)")


def main() -> None:
    """Serve until stdin ends."""
    _limit()
    for expression in _WARM_UP:
        answer(expression)
    _write({"ready": True})
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_REAL, _ALARM_S)
        started = time.process_time()
        reply = answer(orjson.loads(line)["expression"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        _write({**reply, "cpu_s": time.process_time() - started, "peak_memory_bytes": _peak_memory_bytes()})


def answer(expression: str) -> dict[str, Any]:
    """Return `{text, exact, decimal, unit}`, or `{error: {type, message}}` for what cannot be computed."""
    from tools_api.calculator.evaluate import evaluate
    from tools_api.calculator.parser import parse
    from tools_api.calculator.render import render

    try:
        shown = render(evaluate(parse(expression)))
    except CalculationError as error:
        return {"error": {"type": error.type, "message": error.message}}
    except MemoryError:
        return {"error": {"type": "too_large", "message": "The calculation needs more memory than it may have."}}
    except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError, RecursionError):
        # SymPy's ways of saying that it cannot; none of its texts is written for the person who asked
        return {"error": {"type": "undefined", "message": "The expression could not be computed; simplify it."}}
    return {"text": shown.text, "exact": shown.exact, "decimal": shown.decimal, "unit": shown.unit}


def _limit() -> None:
    sys.setrecursionlimit(20_000)  # a sum of a thousand terms is a tree of a thousand levels
    sys.set_int_max_str_digits(100_000)
    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit and refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _write(reply: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(reply) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
