"""What exact search is asked and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tools_api.rag.values import DocumentRecord, Filter

MAX_MATCHES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactQuery:
    """Where `pattern` occurs, in at most `limit` places from `cursor` on."""

    pattern: str
    regex: bool = False
    ignore_case: bool = False
    where: Filter | None = None
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactMatch:
    """A place. `start` and `end` count characters of the document's text; pages are None where a format has none.

    `line` holds every line that the match touches; a long one is cut to what stands around the match, with an ellipsis.
    """

    collection: str
    document: DocumentRecord
    text: str
    start: int
    end: int
    page: int | None
    page_end: int | None
    line: str
    before: Sequence[str]
    after: Sequence[str]
    citation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactAnswer:
    """The matches found, in the order of collections, documents and places.

    `partial` says why there may be more: `limit` or `time`; then `cursor` goes on behind the last one. `characters`
    and `documents` is what was looked at in this call.
    """

    matches: Sequence[ExactMatch]
    partial: Literal["limit", "time"] | None
    cursor: str | None
    documents: int
    characters: int
