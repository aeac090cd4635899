"""A collection as the other parts see it: values only, without the database behind them."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from tools_api.rag.values import IndexType, Owner

Need = Literal["read", "write", "own"]
"""What a call does to a collection. `own`: what only its owner may, such as sharing or deleting it."""
Role = Literal["owner", "writer", "reader"]
"""What somebody is to a collection."""

EVERYBODY = "*"
"""The grantee that stands for all people of the owner's service."""
MAX_NAME = 100

_ALLOWS: Mapping[Role, frozenset[Need]] = {
    "owner": frozenset({"read", "write", "own"}),
    "writer": frozenset({"read", "write"}),
    "reader": frozenset({"read"}),
}
_ID = re.compile(r"col_[0-9a-f]{32}")
_NOT_IN_NAMES = frozenset("/\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A collection and the `role` in which the caller reaches it.

    `fingerprint`, `model` and `dimensions` are those of the embedding model of its vectors, None before the first.
    `chunk_tokens` bounds its passages. `generation` counts the times that it was indexed anew.
    """

    id: str
    owner: Owner
    name: str
    role: Role
    index_type: IndexType
    chunk_tokens: int
    created_at: datetime
    updated_at: datetime
    description: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    model: str | None = None
    fingerprint: str | None = None
    dimensions: int | None = None
    generation: int = 1

    def allows(self, need: Need) -> bool:
        """Say whether the caller may do that."""
        return need in _ALLOWS[self.role]


@dataclass(frozen=True, slots=True)
class Contents:
    """What the catalogue knows to be in a collection: documents by how they stand, passages, bytes of originals."""

    documents: int = 0
    indexed: int = 0
    queued: int = 0
    running: int = 0
    failed: int = 0
    chunks: int = 0
    bytes: int = 0

    @property
    def pending(self) -> int:
        """Documents that wait or are worked on."""
        return self.queued + self.running

    def __add__(self, other: "Contents") -> "Contents":
        return Contents(*(getattr(self, name) + getattr(other, name) for name in Contents.__match_args__))


@dataclass(frozen=True, slots=True)
class Grant:
    """A person of the owner's service, or everybody in it, and what they may do."""

    person: str
    role: Literal["reader", "writer"]


def is_collection_id(text: str) -> bool:
    """Say whether this has the form of a collection's id, which no name may have."""
    return _ID.fullmatch(text) is not None


def normal_name(name: str) -> str | None:
    """Return a collection's name in the form in which it is kept (NFC, no space around it), None if it is no name.

    A name is 1 to 100 characters that can be seen, or spaces between them, without slashes: it stands in paths.
    """
    normal = unicodedata.normalize("NFC", name).strip()
    if not 0 < len(normal) <= MAX_NAME or normal in {".", ".."} or is_collection_id(normal):
        return None
    return normal if all(_in_names(character) for character in normal) else None


def _in_names(character: str) -> bool:
    return character.isprintable() and character not in _NOT_IN_NAMES and not "\ud800" <= character <= "\udfff"
