"""Import a package as if another one were not installed.

structlog draws its console output with rich where it finds it, and PyJWT brings all of cryptography along. The servers
write JSON and sign with HMAC; the two would cost them 15 MB and a third of a second of every start.
"""

import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def without(package: str) -> Generator[None]:
    """Make `import package` fail inside the block, unless it has been imported before."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # pyright: ignore[reportArgumentType] - documented: "import of … halted"
    try:
        yield
    finally:
        del sys.modules[package]
