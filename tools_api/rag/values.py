"""What the parts of retrieval hand to each other: values only.

A document's text is what a parser made of it; offsets count its characters. Chunks are pieces of it in order that do
not overlap, and what lies between two of them is white space only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

IndexType = Literal["Flat", "IVF", "HNSW"]
"""How FAISS searches the larger segments of a collection (`RAG_INDEX_TYPE`)."""
Filter = Mapping[str, Any]
"""A condition on documents' metadata, as callers write it; see `tools_api/rag/index/filters.py`."""

MAX_PERSON = 128
"""Characters of a person's name."""
MAX_QUERY = 4000
"""Characters of a question."""
MAX_TOP_K = 100
"""Hits of a search."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a collection belongs to: a service by the name of its key, and the person for whom it calls, or ""."""

    service: str
    person: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A passage: `text == document_text[start:end]`.

    `page` counts from 1 (slide or sheet where the format has those) and `page_end` is the last one that it touches;
    None where a format has no pages. `headings` lead to it, outermost first.
    """

    ordinal: int
    text: str
    start: int
    end: int
    page: int | None = None
    page_end: int | None = None
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDocument:
    """What a parser found. `metadata` is what the file says of itself (author, dates), plain strings and numbers."""

    media_type: str
    chunks: tuple[Chunk, ...]
    title: str | None = None
    pages: int | None = None
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict[str, str | int | float | bool])


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseFailure:
    """Why a file was not parsed: a stable word (`encrypted`, `broken`, `too_large`, `unsupported`, `empty`, `timeout`,
    `memory`, …) and a sentence for its owner. `retryable` if the same bytes may succeed later."""

    code: str
    message: str
    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRecord:
    """A document as a collection's index keeps it. `metadata` is the owner's together with the parser's."""

    id: str
    name: str
    media_type: str
    sha256: str
    created_at: datetime
    title: str | None = None
    pages: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """A chunk that one half of a search found. Higher is better: a cosine for vectors, BM25 for words."""

    chunk_id: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChunk:
    """A chunk with the document that it belongs to, as a collection's index returns it."""

    chunk_id: int
    document: DocumentRecord
    chunk: Chunk
