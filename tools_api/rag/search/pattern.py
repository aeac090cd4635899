"""What exact search looks for: a literal text or a regular expression that takes time linear in what it reads (RE2).

RE2 leaves out what cannot be linear: backreferences, and looking ahead or behind.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol, cast

from shared.errors import InvalidRequest

MAX_PATTERN = 1_000
_MEMORY_BYTES = 4 * 1024 * 1024


class Pattern(Protocol):
    """The part of a compiled expression that is used here."""

    def finditer(self, text: str, pos: int) -> Iterator["Found"]:
        """Yield matches from a position on; what stands before it is still seen by `^` and word borders."""
        ...


class Found(Protocol):
    """A match."""

    def start(self) -> int: ...
    def end(self) -> int: ...


@lru_cache(maxsize=32)
def compile_pattern(pattern: str, *, regex: bool, ignore_case: bool) -> Pattern:
    """Return what to look for; `^` and `$` stand for ends of lines. Raises `InvalidRequest`."""
    if not 0 < len(pattern) <= MAX_PATTERN:
        raise InvalidRequest(f"pattern: give 1 to {MAX_PATTERN} characters to look for.", param="pattern")
    if any("\ud800" <= character <= "\udfff" for character in pattern):
        raise InvalidRequest("pattern: half of a surrogate pair is no character.", param="pattern")
    import re2

    made = cast("Any", re2)  # the package has no types
    options = made.Options()
    options.literal = not regex
    options.case_sensitive = not ignore_case
    options.max_mem = _MEMORY_BYTES
    options.never_capture = True
    options.log_errors = False
    try:
        compiled = made.compile(f"(?m){pattern}" if regex else pattern, options)
    except made.error as error:
        raise InvalidRequest(
            f"pattern: not a regular expression as RE2 reads it ({_reason(error)}).", param="pattern"
        ) from None
    made.purge()  # its own cache would keep 128 of them, at the size above
    return cast("Pattern", compiled)


def _reason(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
