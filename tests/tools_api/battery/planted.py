"""What the battery plants on the host, and how it proves that an attack would succeed without a sandbox."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

CANARY = secrets.token_hex(16)
"""Stands in every place that code in a sandbox must not be able to read."""

Unprotected = Callable[[str], Awaitable[str]]
MakeFolder = Callable[[], Path]


@dataclass(frozen=True)
class Planted:
    """A folder of the host that every user may enter and write, so that only the sandbox protects it."""

    folder: Path

    @property
    def secret(self) -> str:
        """The path of a file that everyone may read."""
        return str(self.folder / "secret")
