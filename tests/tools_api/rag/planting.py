"""Owners with documents, put where ingestion would put them: in the catalogue, the index and the originals' place."""

import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tests.tools_api.conftest import KEY
from tests.tools_api.rag.conftest import Person, ServedRag
from tools_api.rag.collections import store
from tools_api.rag.index.values import VectorModel
from tools_api.rag.tables import RagDocument
from tools_api.rag.values import Chunk, DocumentRecord

_DOCUMENTS = 2
_CHUNKS = 2
_FILLER = ["holiday", "plan", "and", "the", "budget", "report", "of", "account", "with", "secret", "password", "rule"]


@dataclass(frozen=True)
class Someone:
    """An owner, their way in, and what is theirs: a collection `notes` with documents full of canaries."""

    name: str | None
    person: Person
    collection_id: str
    documents: Mapping[str, tuple[str, ...]]
    """Canaries by the id of the document that holds them."""
    document_names: tuple[str, ...]
    collection_name: str = "notes"

    @property
    def canaries(self) -> tuple[str, ...]:
        return tuple(canary for canaries in self.documents.values() for canary in canaries)

    @property
    def in_the_name(self) -> dict[str, str]:
        """What a tool call says besides its arguments."""
        return {"acting_for": self.name} if self.name else {}

    def at(self, person: Person) -> "Someone":
        """The same owner at another server."""
        return replace(self, person=person)

    async def text(self, method: str, path: str, body: Any) -> tuple[int, str]:
        """Ask something and return the status and the whole answer as text."""
        more = {} if body is None else {"json": body}
        async with self.person.client.request(method, f"{self.person.url}{path}", **more) as answer:
            return answer.status, await answer.text()


async def plant(rag: ServedRag, name: str | None, key: str = KEY) -> Someone:
    """Make an owner with a collection `notes`."""
    person = rag.person(name, key)
    _, made = await person.ask("POST", "/v1/rag/collections", json={"name": "notes"})
    documents: dict[str, tuple[str, ...]] = {}
    names: list[str] = []
    for _ in range(_DOCUMENTS):
        document_id, document_name, canaries = await _plant_document(rag, made["id"])
        documents[document_id] = canaries
        names.append(document_name)
    return Someone(name, person, made["id"], documents, tuple(names))


async def _plant_document(rag: ServedRag, collection_id: str) -> tuple[str, str, tuple[str, ...]]:
    canaries = tuple(f"canary{secrets.token_hex(16)}" for _ in range(_CHUNKS))
    in_metadata = f"canary{secrets.token_hex(16)}"
    texts = [
        f"{' '.join(random.sample(_FILLER, 8))} {canary} {' '.join(random.sample(_FILLER, 4))}." for canary in canaries
    ]
    name = f"report {secrets.token_hex(4)}.txt"
    document_id = await put(rag, collection_id, name, texts, metadata={"owner": in_metadata, "year": 2026})
    return document_id, name, (*canaries, in_metadata)


async def put(
    rag: ServedRag,
    collection_id: str,
    name: str,
    texts: Sequence[str],
    *,
    page: int | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """Put a document with these passages, one a line, into a collection; return its id."""
    parts = await rag.retrieval.parts()
    record = DocumentRecord(
        id=f"doc_{secrets.token_hex(16)}",
        name=name,
        media_type="text/plain",
        sha256=secrets.token_hex(32),
        created_at=datetime.now(UTC),
        metadata=metadata or {},
    )
    model = await rag.encoder.model()
    index = await parts.indexes.open(collection_id, VectorModel(model.fingerprint, model.dimensions), "Flat")
    await index.put(record, _chunks(texts, page), await rag.encoder.embed(texts, "passage"))
    await _enter(rag, collection_id, record, len(texts))
    return record.id


def _chunks(texts: Sequence[str], page: int | None) -> list[Chunk]:
    chunks: list[Chunk] = []
    start = 0
    for ordinal, text in enumerate(texts):
        chunks.append(
            Chunk(
                ordinal=ordinal,
                text=text,
                start=start,
                end=start + len(text),
                page=page,
                page_end=page,
                headings=("Canaries",),
            )
        )
        start += len(text) + 1
    return chunks


async def _enter(rag: ServedRag, collection_id: str, record: DocumentRecord, chunks: int) -> None:
    now = datetime.now(UTC)
    model = await rag.encoder.model()
    row = RagDocument(
        id=record.id,
        collection_id=collection_id,
        name=record.name,
        media_type=record.media_type,
        size=1000,
        sha256=record.sha256,
        indexed_sha256=record.sha256,
        state="indexed",
        percent=100,
        chunks=chunks,
        attributes=dict(record.metadata),
        created_at=now,
        updated_at=now,
    )
    async with rag.database.transaction() as db:
        db.add(row)
        await store.change(
            db,
            collection_id,
            {"embedding_model": model.name, "embedding_fingerprint": model.fingerprint, "dimensions": model.dimensions},
        )
