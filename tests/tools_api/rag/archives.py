"""For a server that takes no archive apart: a ZIP is a file like others, and parsing says what it thinks of it."""

from collections.abc import AsyncIterator
from pathlib import Path


class NoArchives:
    """Knows no archive."""

    def is_archive(self, path: Path) -> bool:
        """Say no."""
        return False

    async def members(self, path: Path, name: str) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        """Yield nothing."""
        return
        yield name, _nothing()


async def _nothing() -> AsyncIterator[bytes]:
    yield b""
