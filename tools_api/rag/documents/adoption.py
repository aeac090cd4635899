"""Documents that come with a restored collection: in the catalogue as indexed, without an original."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from tools_api.rag.documents import store
from tools_api.rag.documents.intake import no_room
from tools_api.rag.documents.names import label, media_type_of, unique_label
from tools_api.rag.documents.values import Limits
from tools_api.rag.tables import RagDocument
from tools_api.rag.values import DocumentRecord, Owner

_AT_ONCE = 100
"""So many documents are entered before others get their turn."""
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,55}")


@dataclass(frozen=True, slots=True)
class Adopted:
    """A document of an index, its number of chunks, and the bytes that it counts for against its owner's share."""

    record: DocumentRecord
    chunks: int
    size: int


async def adopt(
    db: AsyncSession, owner: Owner, collection_id: str, documents: Iterable[Adopted], *, limits: Limits, now: datetime
) -> None:
    """Enter documents that are in the collection's index already. Raises `QuotaExceeded`."""
    await store.lock_owners(db)
    files, size = await store.used(db, owner)
    names: set[str] = set()
    numbers: dict[str, int] = {}
    for entered, document in enumerate(documents):
        files, size = files + 1, size + document.size
        if files > limits.owner_files or size > limits.owner_bytes:
            raise no_room(limits)
        row = _row(collection_id, document, unique_label(label(document.record.name), names, numbers), now)
        names.add(row.name)
        db.add(row)
        if entered % _AT_ONCE == 0:
            await db.flush()
    await db.flush()


def _row(collection_id: str, document: Adopted, name: str, now: datetime) -> RagDocument:
    record = document.record
    # no content has this digest: the same file, uploaded again, is a new version and brings the original
    digest = hashlib.sha256(f"restored {record.sha256}".encode("utf-8", "replace")).hexdigest()
    known_type = _MEDIA_TYPE.fullmatch(record.media_type)
    return RagDocument(
        id=record.id,
        collection_id=collection_id,
        name=name,
        media_type=record.media_type if known_type else media_type_of(name, None),
        size=document.size,
        sha256=digest,
        indexed_sha256=digest,
        state="indexed",
        percent=100,
        pages=record.pages if record.pages is not None and record.pages < 2**31 else None,
        chunks=document.chunks,
        attributes=dict(record.metadata),
        created_at=now,
        updated_at=now,
    )
