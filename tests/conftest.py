"""What holds for every test: whose settings it sees, and beside which others it may run."""

import os
from collections.abc import Generator
from typing import Any

import hypothesis
import pytest

from config import Settings
from tests.scheduling import LONG, Together, longest_first


def pytest_configure() -> None:
    """Forget the variables that name settings: a key or a port of this machine must not change what a test shows.

    How fast it is must not either, so examples have no deadline. Servers that tests start import torch only for the
    tests that need it.
    """
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
    os.environ["RAG_ENCODER_PRELOAD"] = "false"
    hypothesis.settings.register_profile("any machine", deadline=None)
    hypothesis.settings.load_profile("any machine")


@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Where code runs for real is not the fast part. The order is for the processes that share the tests."""
    for item in items:
        if item.get_closest_marker("sandbox") or item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("slow") and item.nodeid.startswith(LONG):
            item.add_marker(pytest.mark.long)
    yield
    items.sort(key=longest_first)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    return Together(config, log)
