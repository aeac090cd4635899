"""What a call costs beside a fixed piece of work: a slow or a busy machine changes both, so no limit is in seconds."""

import json
import time
from collections.abc import Callable

_CHAT = {"model": "auto", "messages": [{"role": "user", "content": "word " * 20}] * 4}


def cost(work: Callable[[], object], *, times: int) -> float:
    """Return the seconds of processor time that one call takes: the best of five rounds of `times` calls."""
    return min(_round(work, times) for _ in range(5))


def small_chat_in_json() -> float:
    """Return the cost of writing a small chat as JSON and reading it again: 7 µs on a machine of 2024."""
    return cost(lambda: json.loads(json.dumps(_CHAT)), times=500)


def _round(work: Callable[[], object], times: int) -> float:
    started = time.thread_time()
    for _ in range(times):
        work()
    return (time.thread_time() - started) / times
