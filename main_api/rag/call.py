"""One call of a person on its way to the tools API, and the only paths that it can have."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from shared.errors import InvalidRequest, NotFound

PREFIX = "/v1/rag"

_LONGEST_SEGMENT = 256
_QUERY = re.compile(r"[!-~]{0,4096}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RagCall:
    """What a person asks of the tools API. `target` is made by `target_of`; `headers` are those that may pass.

    `silence_s` is how long the answer may keep silent before or within it.
    """

    method: str
    target: str
    person: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: AsyncIterator[bytes] | bytes | None = None
    silence_s: float = 60.0


def target_of(segments: Sequence[str], query: str = "") -> str:
    """Return path and query of a call, percent-encoded so that a segment stays one.

    Raises `NotFound` for a segment that would lead elsewhere (`..`) or names nothing, `InvalidRequest` for a query that
    is no query.
    """
    if not _QUERY.fullmatch(query):
        raise InvalidRequest("The query string must be percent-encoded ASCII of at most 4096 characters.")
    path = "/".join((PREFIX, *(_segment(segment) for segment in segments)))
    return f"{path}?{query}" if query else path


def _segment(segment: str) -> str:
    if not 0 < len(segment) <= _LONGEST_SEGMENT or segment in {".", ".."} or not segment.isprintable():
        raise NotFound("There is nothing of this name.")
    return quote(segment, safe="", errors="strict")
