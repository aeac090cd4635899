"""Service keys."""

import pytest

from shared.errors import Unauthenticated
from tools_api.invoke.auth import MAIN_API, ServiceKeys, offered_key

KEYS = ServiceKeys({MAIN_API: "m" * 40, "reports": "r" * 40})


def test_a_key_names_its_service() -> None:
    assert KEYS.caller("m" * 40) == MAIN_API
    assert KEYS.caller("r" * 40) == "reports"


@pytest.mark.parametrize("offered", [None, "", "x", "m" * 39, "M" * 40, "m" * 40 + "\x00", "ü" * 40, "\udcff"])
def test_anything_else_is_refused(offered: str | None) -> None:
    with pytest.raises(Unauthenticated):
        KEYS.caller(offered)


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "expected"),
    [
        ("Bearer abc", None, "abc"),
        ("bearer  abc ", None, "abc"),
        (None, "xyz", "xyz"),
        ("Bearer abc", "xyz", "abc"),
        ("Basic abc", "xyz", None),
        ("", "xyz", None),
        ("Bearer", "xyz", ""),
        (None, None, None),
    ],
)
def test_where_the_key_is_looked_for(authorization: str | None, x_api_key: str | None, expected: str | None) -> None:
    assert offered_key(authorization, x_api_key) == expected
