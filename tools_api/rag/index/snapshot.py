"""A collection as one file: a ZIP archive of JSON lines and raw vectors, that needs nothing of ours to be read.

    documents.jsonl   one document a line, in the order of its chunks, with their number
    chunks.jsonl      one chunk a line
    vectors.f32       the chunks' vectors in the same order, 32-bit floats, little-endian
    manifest.json     format, embedding model, counts, and the SHA-256 of the three; written last

No copy of the SQLite file: whoever restores a snapshot may have it from a stranger, and a database file is code that a
parser in C runs. Lines are checked one by one.
"""

import hashlib
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from shared.errors import Conflict
from tools_api.rag.index.failures import storage_failures
from tools_api.rag.index.reading import Readers, all_documents, chunks_in, counts
from tools_api.rag.index.rows import moment
from tools_api.rag.values import Chunk, DocumentRecord, StoredChunk

FORMAT = 1
DOCUMENTS, CHUNKS, VECTORS, MANIFEST = "documents.jsonl", "chunks.jsonl", "vectors.f32", "manifest.json"
_AT_ONCE = 1000
_LEVEL = 3


def exported(stored: StoredChunk, vector: list[float] | None) -> dict[str, Any]:
    """Return a chunk and its document as JSON."""
    row = {"chunk_id": stored.chunk_id, "document": document_json(stored.document), **chunk_json(stored.chunk)}
    return row if vector is None else {**row, "vector": vector}


def document_json(record: DocumentRecord) -> dict[str, Any]:
    """Return a document as JSON."""
    return {
        "id": record.id,
        "name": record.name,
        "media_type": record.media_type,
        "sha256": record.sha256,
        "created_at": moment(record.created_at),
        "title": record.title,
        "pages": record.pages,
        "metadata": dict(record.metadata),
    }


def chunk_json(chunk: Chunk) -> dict[str, Any]:
    """Return a chunk as JSON."""
    return {
        "ordinal": chunk.ordinal,
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
        "page": chunk.page,
        "page_end": chunk.page_end,
        "headings": list(chunk.headings),
    }


def write_snapshot(readers: Readers, path: Path) -> None:
    """Write a snapshot of one moment; nothing is left at `path` if that fails. Blocking. Raises `StorageFull`."""
    try:
        with storage_failures(), readers.snapshot() as db, _new_archive(path) as archive:
            _require_one_model(db)
            written = {"documents": 0, "chunks": 0}
            digests = {
                DOCUMENTS: _write(archive, DOCUMENTS, _document_lines(db, written), zipfile.ZIP_DEFLATED),
                CHUNKS: _write(archive, CHUNKS, _chunk_lines(db, written), zipfile.ZIP_DEFLATED),
                VECTORS: _write(archive, VECTORS, _vectors(db), zipfile.ZIP_STORED),
            }
            archive.writestr(MANIFEST, orjson.dumps(_manifest(db, written, digests), option=orjson.OPT_INDENT_2))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _require_one_model(db: sqlite3.Connection) -> None:
    if counts(db)[2] is not None:
        raise Conflict("This collection is being indexed anew for another embedding model; try again when it is done.")


def _new_archive(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)


def _write(archive: zipfile.ZipFile, name: str, pieces: Iterable[bytes], compression: int) -> str:
    digest = hashlib.sha256()
    member = name if compression == archive.compression else zipfile.ZipInfo(name)  # the latter is stored as it is
    with archive.open(member, "w", force_zip64=True) as file:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _document_lines(db: sqlite3.Connection, written: dict[str, int]) -> Iterator[bytes]:
    for document in all_documents(db):
        written["documents"] += 1
        yield _line({**document_json(document.record), "chunks": document.chunks})


def _chunk_lines(db: sqlite3.Connection, written: dict[str, int]) -> Iterator[bytes]:
    after = 0
    while found := chunks_in(db, (after + 1, 2**62), _AT_ONCE):
        written["chunks"] += len(found)
        yield b"".join(_line(chunk_json(stored.chunk)) for stored in found)
        after = found[-1].chunk_id


def _vectors(db: sqlite3.Connection) -> Iterator[bytes]:
    rows = db.execute("SELECT data FROM vector ORDER BY id")
    while block := rows.fetchmany(_AT_ONCE):
        yield b"".join(row[0] for row in block)


def _manifest(db: sqlite3.Connection, written: dict[str, int], digests: dict[str, str]) -> dict[str, Any]:
    row = db.execute("SELECT fingerprint, dimensions, index_type FROM collection").fetchone()
    return {
        "format": FORMAT,
        "fingerprint": row[0],
        "dimensions": row[1],
        "index_type": row[2],
        **written,
        "sha256": digests,
    }


def _line(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
