"""Documents and chunks as rows of `chunks.db`, there and back."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.errors import InvalidRequest
from tools_api.rag.index.words_view import WordsRow
from tools_api.rag.values import Chunk, DocumentRecord, StoredChunk

Row = tuple[Any, ...]

DOCUMENT_COLUMNS = "d.id, d.name, d.media_type, d.sha256, d.created_at, d.title, d.pages, d.metadata"
CHUNK_COLUMNS = 'c.id, c.ordinal, c.text, c.start, c."end", c.page, c.page_end, c.headings'
_DOCUMENT_WIDTH = 8


def moment(value: datetime) -> str:
    """Write a moment so that the order of the words is the order of time. A naive one is taken as UTC."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return f"{aware.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def document_row(record: DocumentRecord) -> Row:
    """Return the columns of `DOCUMENT_COLUMNS`. Raises `InvalidRequest` for what can't be kept."""
    texts = (record.id, record.name, record.media_type, record.sha256, record.title or "")
    for text in texts:
        _require_unicode(text)
    return (
        record.id,
        record.name,
        record.media_type,
        record.sha256,
        moment(record.created_at),
        record.title,
        record.pages,
        _metadata_json(record.metadata),
    )


def chunk_row(chunk: Chunk) -> Row:
    """Return the columns of `CHUNK_COLUMNS` without the id. Raises `InvalidRequest` for what can't be kept."""
    _require_unicode(chunk.text)
    return (
        chunk.ordinal,
        chunk.text,
        chunk.start,
        chunk.end,
        chunk.page,
        chunk.page_end,
        orjson.dumps(chunk.headings).decode(),
    )


def record_of(row: Row) -> DocumentRecord:
    """Read the columns of `DOCUMENT_COLUMNS`."""
    return DocumentRecord(
        id=row[0],
        name=row[1],
        media_type=row[2],
        sha256=row[3],
        created_at=datetime.fromisoformat(row[4]),
        title=row[5],
        pages=row[6],
        metadata=orjson.loads(row[7]),
    )


def chunk_of(row: Row) -> Chunk:
    """Read the columns of `CHUNK_COLUMNS`."""
    return Chunk(
        ordinal=row[1],
        text=row[2],
        start=row[3],
        end=row[4],
        page=row[5],
        page_end=row[6],
        headings=tuple(orjson.loads(row[7])),
    )


class StoredChunks:
    """Reads rows of `CHUNK_COLUMNS, DOCUMENT_COLUMNS`; chunks of a document share its record."""

    def __init__(self) -> None:
        self._row: Row | None = None
        self._record: DocumentRecord | None = None

    def read(self, row: Row) -> StoredChunk:
        """Return the chunk with its document."""
        document = row[_DOCUMENT_WIDTH:]
        if self._record is None or document != self._row:
            self._row, self._record = document, record_of(document)
        return StoredChunk(chunk_id=row[0], document=self._record, chunk=chunk_of(row))


def words_row(row: Row) -> WordsRow:
    """Read a chunk's id, text and headings and its document's title and name."""
    return WordsRow(chunk_id=row[0], text=row[1], headings=tuple(orjson.loads(row[2])), title=row[3], name=row[4])


def _metadata_json(metadata: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(dict(metadata)).decode()
    except TypeError as error:
        raise InvalidRequest(f"The metadata can't be kept as JSON: {error}", param="metadata") from None


def _require_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("A text holds half a surrogate pair, which is no Unicode character.") from None
