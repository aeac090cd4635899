"""What holds for every test: whose settings it sees, and beside which others it may run."""

import os

import hypothesis
import pytest

from config import Settings


def pytest_configure() -> None:
    """Forget the variables that name settings: a key or a port of this machine must not change what a test shows.

    Servers that tests start import torch only for the tests that need it.
    """
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
    os.environ["RAG_ENCODER_PRELOAD"] = "false"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, for the servers that they share.

    The attacks on the sandbox and the two whole servers run in the same one, hence after each other: both are about
    limits of this machine. Where code runs for real is not the fast part.
    """
    for item in items:
        if item.get_closest_marker("sandbox"):
            item.add_marker(pytest.mark.slow)
        heavy = item.get_closest_marker("sandbox") or "/e2e/" in item.nodeid
        item.add_marker(pytest.mark.xdist_group("machine" if heavy else item.nodeid.partition("::")[0]))
