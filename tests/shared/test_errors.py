"""The tree of errors."""

from collections.abc import Iterator

import pytest

from shared import errors
from shared.errors import TwinportError


def tree(root: type[TwinportError] = TwinportError) -> Iterator[type[TwinportError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


@pytest.mark.parametrize("kind", list(tree()))
def test_every_error_is_drawn_in_the_docstring_with_its_status_and_code(kind: type[TwinportError]) -> None:
    line = next(line for line in (errors.__doc__ or "").splitlines() if f" {kind.__name__} " in line)

    assert f" {kind.status} {kind.code}" in line


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in tree()]

    assert len(codes) == len(set(codes))


def test_what_may_succeed_later_is_retryable() -> None:
    assert {kind.status for kind in tree() if kind.retryable} == {429, 502, 503, 504}


def test_an_error_carries_what_the_caller_is_told() -> None:
    error = errors.RateLimited("wait", param="n", retry_after=2.5, details={"a": 1})

    assert (str(error), error.message, error.param, error.retry_after) == ("wait", "wait", "n", 2.5)
