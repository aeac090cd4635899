"""Makes a collection from a snapshot that may come from a stranger: every size is bounded and every line is checked.

Nothing of it is trusted, nor is anything written under a name that it gives. What it says of the embedding model is
believed: a false word there spoils searches in that one collection only.
"""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any, Literal, TypeVar
from zlib import error as ZlibError  # noqa: N812 - a class, under a name that says whose

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import InvalidRequest, PayloadTooLarge
from tools_api.rag.index import schema
from tools_api.rag.index.checks import checked_documents
from tools_api.rag.index.failures import require_room, storage_failures
from tools_api.rag.index.snapshot import CHUNKS, DOCUMENTS, FORMAT, MANIFEST, VECTORS
from tools_api.rag.index.truth import Truth
from tools_api.rag.index.values import DocumentToPut, Restored, RestoreLimits, VectorModel
from tools_api.rag.values import Chunk, DocumentRecord, IndexType

M = TypeVar("M", bound=BaseModel)

_CHUNKS_AT_ONCE = 2000
_DOCUMENTS_AT_ONCE = 2000
_MANIFEST_BYTES = 64 * 1024
_LINE_BYTES = 8 * 1024 * 1024
_CHUNK_CHARACTERS = 131_272
"""The longest that the parser makes, of a collection with 8,192 tokens in a chunk."""
_MAX_GAP = 2
"""Characters between two chunks of a document: the parser leaves two line breaks at most."""
_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
Count = Annotated[int, Field(ge=0, le=2**53)]


class _Manifest(BaseModel):
    model_config = _STRICT

    format: int
    fingerprint: Annotated[str, Field(min_length=1, max_length=500)]
    dimensions: Annotated[int, Field(ge=1, le=16_384)]
    index_type: IndexType
    documents: Count
    chunks: Count
    sha256: dict[Literal["documents.jsonl", "chunks.jsonl", "vectors.f32"], str]


class _Document(BaseModel):
    model_config = _STRICT

    id: Annotated[str, Field(min_length=1, max_length=200)]
    name: Annotated[str, Field(max_length=2000)]
    media_type: Annotated[str, Field(max_length=200)]
    sha256: Annotated[str, Field(max_length=128)]
    created_at: Annotated[str, Field(max_length=40)]
    title: Annotated[str, Field(max_length=10_000)] | None
    pages: Count | None
    metadata: dict[str, Any]
    chunks: Count


class _Chunk(BaseModel):
    model_config = _STRICT

    ordinal: Count
    text: Annotated[str, Field(max_length=_CHUNK_CHARACTERS)]
    start: Count
    end: Count
    page: Count | None
    page_end: Count | None
    headings: Annotated[list[Annotated[str, Field(max_length=10_000)]], Field(max_length=100)]


class _Member:
    """One file of the archive, read from its beginning to its end while its checksum is taken."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._name = name
        self._digest = hashlib.sha256()
        self._file: IO[bytes] = archive.open(name)

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        self._digest.update(content)
        if len(content) != size:
            raise _broken(f"{self._name} ends too early")
        return content

    def line(self, model: type[M]) -> M:
        """Read one JSON line."""
        content = self._file.readline(_LINE_BYTES + 1)
        self._digest.update(content)
        if len(content) > _LINE_BYTES:
            raise _broken(f"a line of {self._name} has more than {_LINE_BYTES} bytes")
        return _parsed(model, content, self._name)

    def require_end(self, digest: str | None) -> None:
        """Refuse what is longer than it said, or other than it was written."""
        if self._file.read(1) or self._digest.hexdigest() != digest:
            raise _broken(f"{self._name} is not what its manifest says")


@dataclass(frozen=True, slots=True)
class _Reading:
    """The three members that are read side by side, and what bounds them."""

    documents: _Member
    chunks: _Member
    vectors: _Member
    manifest: _Manifest
    limits: RestoreLimits
    new_id: Callable[[str], str]


def restore_snapshot(source: Path, folder: Path, new_id: Callable[[str], str], limits: RestoreLimits) -> Restored:
    """Write the collection of a snapshot into an empty folder; documents get the ids that `new_id` makes of theirs.

    Blocking. Raises `InvalidRequest` with what is wrong, `PayloadTooLarge`, `StorageFull`; the folder is then to be
    removed.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = _checked_manifest(archive, limits)
            documents, chunks, vectors = (_Member(archive, name) for name in (DOCUMENTS, CHUNKS, VECTORS))
            reading = _Reading(documents, chunks, vectors, manifest, limits, new_id)
            require_room(folder, 3 * sum(member.file_size for member in archive.infolist()), 0)
            _write(reading, folder)
    except (zipfile.BadZipFile, ZlibError, EOFError, NotImplementedError) as error:
        raise _broken(f"it is no whole ZIP archive ({error})") from None
    model = VectorModel(manifest.fingerprint, manifest.dimensions)
    return Restored(model=model, index_type=manifest.index_type, documents=manifest.documents, chunks=manifest.chunks)


def _checked_manifest(archive: zipfile.ZipFile, limits: RestoreLimits) -> _Manifest:
    members = {member.filename: member for member in archive.infolist()}
    if set(members) != {DOCUMENTS, CHUNKS, VECTORS, MANIFEST} or len(archive.infolist()) != len(members):
        raise _broken("it does not hold the four files of a snapshot")
    if any(member.flag_bits & 1 or member.compress_type not in {0, 8} for member in members.values()):
        raise _broken("it is encrypted or packed in another way than snapshots are")
    if sum(member.file_size for member in members.values()) > limits.bytes:
        raise PayloadTooLarge(f"Unpacked, the snapshot is larger than the {limits.bytes} bytes that are allowed.")
    if members[MANIFEST].file_size > _MANIFEST_BYTES:
        raise _broken("its manifest is too long")
    manifest = _parsed(_Manifest, archive.read(MANIFEST), MANIFEST)
    if manifest.format != FORMAT:
        raise _broken("it was written by another version of Twinport")
    if manifest.documents > limits.documents:
        raise PayloadTooLarge(f"The snapshot has {manifest.documents} documents; at most {limits.documents} fit.")
    if members[VECTORS].file_size != manifest.chunks * manifest.dimensions * 4:
        raise _broken("its vectors are not as many as its chunks")
    return manifest


def _write(reading: _Reading, folder: Path) -> None:
    manifest = reading.manifest
    with storage_failures():
        schema.create(
            folder / "chunks.db",
            index_type=manifest.index_type,
            fingerprint=manifest.fingerprint,
            dimensions=manifest.dimensions,
        )
    truth = Truth(folder / "chunks.db")
    try:
        for batch in _batches(reading):
            _put(truth, batch, manifest.dimensions)
        for member, name in ((reading.documents, DOCUMENTS), (reading.chunks, CHUNKS), (reading.vectors, VECTORS)):
            member.require_end({str(key): value for key, value in manifest.sha256.items()}.get(name))
    finally:
        truth.close()


def _put(truth: Truth, batch: list[DocumentToPut], dimensions: int) -> None:
    try:
        truth.put(checked_documents(batch, dimensions), 0)
    except InvalidRequest as error:
        raise _broken(error.message.rstrip(".")) from None
    truth.tidy()


def _batches(reading: _Reading) -> Iterator[list[DocumentToPut]]:
    batch: list[DocumentToPut] = []
    rows = chunks = 0
    seen: set[str] = set()
    for _ in range(reading.manifest.documents):
        item = _document(reading, reading.manifest.chunks - chunks)
        if item.record.id in seen:
            raise _broken("two documents have the same id")
        seen.add(item.record.id)
        batch.append(item)
        rows, chunks = rows + len(item.chunks), chunks + len(item.chunks)
        if rows >= _CHUNKS_AT_ONCE or len(batch) >= _DOCUMENTS_AT_ONCE:
            yield batch
            batch, rows = [], 0
    if chunks != reading.manifest.chunks:
        raise _broken("its documents have other chunks than it says")
    yield batch


def _document(reading: _Reading, chunks_left: int) -> DocumentToPut:
    row = reading.documents.line(_Document)
    if row.chunks > min(chunks_left, reading.limits.chunks_per_document):
        raise _broken("a document has too many chunks")
    record = DocumentRecord(
        id=reading.new_id(row.id),
        name=row.name,
        media_type=row.media_type,
        sha256=row.sha256,
        created_at=_moment(row.created_at),
        title=row.title,
        pages=row.pages,
        metadata=row.metadata,
    )
    chunks = list(_chunks(reading, row.chunks))
    content = reading.vectors.read(row.chunks * reading.manifest.dimensions * 4)
    vectors = np.frombuffer(content, "<f4").reshape(-1, reading.manifest.dimensions)
    return DocumentToPut(record, chunks, vectors.astype(np.float32))


def _chunks(reading: _Reading, count: int) -> Iterator[Chunk]:
    length = last_end = 0
    for _ in range(count):
        row = reading.chunks.line(_Chunk)
        length += len(row.text)
        if not 0 <= row.start - last_end <= _MAX_GAP:
            raise _broken("a chunk is not behind the one before it")
        last_end = row.end
        if row.end - row.start != len(row.text) or length > reading.limits.characters_per_document:
            raise _broken("the text of a chunk is not as long as it says, or a document's is too long")
        yield Chunk(
            ordinal=row.ordinal,
            text=row.text,
            start=row.start,
            end=row.end,
            page=row.page,
            page_end=row.page_end,
            headings=tuple(row.headings),
        )


def _moment(text: str) -> datetime:
    try:
        said = datetime.fromisoformat(text)
        return said.astimezone(UTC) if said.tzinfo else said.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the latter: in UTC it lies before the year 1, or behind 9999
        raise _broken("the moment of a document is none") from None


def _parsed(model: type[M], content: bytes, name: str) -> M:
    try:
        return model.model_validate(orjson.loads(content))
    except (orjson.JSONDecodeError, RecursionError):
        raise _broken(f"{name} holds what is no JSON") from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise _broken(f"{name}: {'.'.join(map(str, problem['loc']))[:100]}: {problem['msg'][:200]}") from None


def _broken(why: str) -> InvalidRequest:
    return InvalidRequest(f"The snapshot can't be restored: {why}.", param="file")
