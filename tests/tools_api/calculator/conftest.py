"""The worker raises these two limits for itself; here the evaluation runs in the test's own process."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def worker_limits() -> Iterator[None]:
    depth, digits = sys.getrecursionlimit(), sys.get_int_max_str_digits()
    sys.setrecursionlimit(20_000)
    sys.set_int_max_str_digits(100_000)
    yield
    sys.setrecursionlimit(depth)
    sys.set_int_max_str_digits(digits)
