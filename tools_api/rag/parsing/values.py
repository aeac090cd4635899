"""What goes into a parse. What comes out is in `tools_api/rag/values.py`."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools_api.rag.values import ParsedDocument, ParseFailure

Result = ParsedDocument | ParseFailure


class ArchiveRefused(Exception):
    """An archive that can't be taken apart, and why; other files of the same upload have nothing to do with it."""

    def __init__(self, failure: ParseFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class MemberRefused(Exception):
    """A file of an archive that can't be read, and why; the others in it have nothing to do with it."""

    def __init__(self, failure: ParseFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseInput:
    """A file: `name` is a label that tells its format (`docs/a.md`), `media_type` what its sender says, if anything."""

    id: str
    name: str
    content: bytes | Path
    media_type: str | None = None

    @property
    def size(self) -> int:
        """Return the size in bytes. Raises `OSError` for a file that is gone."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunking:
    """How large chunks may be: `tokens` of the embedding model, counted as it reads them, with title and headings.

    Never give more than the model reads. `tokenizer` is its `tokenizer.json`; without one tokens are estimated.
    """

    tokens: int = 256
    tokenizer: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one file may come to. Bytes, pages, characters of text, pixels of a picture, seconds, bytes of memory."""

    file_bytes: int = 100 << 20
    pages: int = 5000
    characters: int = 10_000_000
    pixels: int = 100_000_000
    timeout_s: float = 120.0
    memory_bytes: int = 1024 << 20
    members: int = 10_000
    """Files in an archive."""
    unpacked_bytes: int = 500 << 20
    """What an archive may hold, unpacked."""
    ratio: int = 200
    """How many times smaller an archive may be than what it holds; above a megabyte, where it says something."""

    def told(self) -> dict[str, int]:
        """Return those that the parsers inside check themselves."""
        return {
            "pages": self.pages,
            "characters": self.characters,
            "pixels": self.pixels,
            "members": self.members,
            "unpacked_bytes": self.unpacked_bytes,
            "member_bytes": self.file_bytes,
            "ratio": self.ratio,
        }


def too_large(files: Iterable[ParseInput], bounds: Bounds) -> dict[str, ParseFailure]:
    """Return a failure for each file that is larger than any may be, or gone, by its id."""
    failures: dict[str, ParseFailure] = {}
    for file in files:
        try:
            size = file.size
        except OSError:
            failures[file.id] = ParseFailure(code="missing", message="The file is not there any more.", retryable=True)
            continue
        if size > bounds.file_bytes:
            most = bounds.file_bytes >> 20
            failures[file.id] = ParseFailure(
                code="too_large", message=f"The file has {size >> 20} MB; at most {most} MB are read."
            )
    return failures
