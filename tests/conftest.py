"""What holds for every test: the settings of the person who runs them do not reach it."""

import os

from config import Settings


def pytest_configure() -> None:
    """Forget the variables that name settings: a key or a port of this machine must not change what a test shows."""
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
