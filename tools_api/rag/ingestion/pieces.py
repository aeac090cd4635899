"""What batches are cut into, and what documents look like on their way from the parser to the index."""

from collections.abc import Sequence

from tools_api.rag.ingestion.values import Work
from tools_api.rag.parsing.values import Chunking
from tools_api.rag.passages import embedded_text
from tools_api.rag.values import Chunk, DocumentRecord, ParsedDocument, ParseFailure

SLICE = 256
"""Passages that are embedded between two marks in the spool, and small documents that are put together."""

EMPTY = ParseFailure(code="empty", message="There is no text in the file.")
NEEDS_REINDEX = ParseFailure(
    code="needs_reindex",
    message="The collection has vectors of another embedding model; index it anew (`POST …/reindex`), then try again.",
    retryable=True,
)


def not_embeddable(reason: str) -> ParseFailure:
    return ParseFailure(
        code="not_embeddable", message=f"The embedding model makes no vectors of its text: {reason}", retryable=True
    )


def groups_of(sizes: Sequence[tuple[str, int]]) -> list[tuple[list[str], int]]:
    """Put documents together until they have a slice of passages; one that has more stands alone."""
    groups: list[tuple[list[str], int]] = []
    for document_id, passages in sizes:
        if groups and groups[-1][1] + passages <= SLICE:
            groups[-1] = ([*groups[-1][0], document_id], groups[-1][1] + passages)
        else:
            groups.append(([document_id], passages))
    return groups


def texts_of(parsed: ParsedDocument, chunks: Sequence[Chunk]) -> list[str]:
    return [embedded_text(parsed.title, chunk.headings, chunk.text) for chunk in chunks]


def key_of(work: Work, chunking: Chunking) -> str:
    """Say of which content, under which name and by which rules chunks are."""
    return f"{work.sha256} {chunking.tokens} {chunking.tokenizer is not None} {work.name}"


def record_of(work: Work, parsed: ParsedDocument) -> DocumentRecord:
    return DocumentRecord(
        id=work.id,
        name=work.name,
        media_type=parsed.media_type,
        sha256=work.sha256,
        created_at=work.created_at,
        title=parsed.title,
        pages=parsed.pages,
        metadata={**parsed.metadata, **work.attributes},
    )
