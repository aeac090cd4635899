"""What is done with a batch of documents: read them, embed their passages, put them into the index.

Each method is a step of a workflow and may be run again after a crash: what is in the spool or marked in the catalogue
is not done twice. A document that is cancelled, changed or removed meanwhile is left out, at once.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from shared.errors import Conflict, InvalidRequest
from tools_api.db import Database
from tools_api.embeddings.errors import TextsRefused
from tools_api.embeddings.protocol import Encoder, EncoderModel
from tools_api.rag.documents.locks import Locks
from tools_api.rag.documents.originals import Originals
from tools_api.rag.index.values import DocumentToPut, VectorModel
from tools_api.rag.ingestion import job_store, queue
from tools_api.rag.ingestion.board import Board
from tools_api.rag.ingestion.interruptible import unless
from tools_api.rag.ingestion.pieces import (
    EMPTY,
    NEEDS_REINDEX,
    SLICE,
    groups_of,
    key_of,
    not_embeddable,
    record_of,
    texts_of,
)
from tools_api.rag.ingestion.protocol import Index, Indexes, Parser
from tools_api.rag.ingestion.spool import Spool
from tools_api.rag.ingestion.values import Batch, Done, Work
from tools_api.rag.parsing.values import Chunking, ParseInput
from tools_api.rag.values import ParsedDocument, ParseFailure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

_SAY_EVERY_S = 0.5
_PARSED, _EMBEDDED = 10, 95
"""Percents of a document when it has been read, and when its passages have been embedded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the work is done with. `tokenizer` says where the embedding model's tokenizer.json is, if it has one."""

    database: Database
    originals: Originals
    spool: Spool
    parser: Parser
    encoder: Encoder
    indexes: Indexes
    board: Board
    locks: Locks
    tokenizer: Callable[[], Path | None]


class BatchWork:
    """Works on one batch."""

    def __init__(self, batch_id: str, tools: Tools) -> None:
        self._id = batch_id
        self._tools = tools
        self._changed = asyncio.Event()
        self.documents: frozenset[str] = frozenset()
        """Those that it works on now."""

    def interrupt(self) -> None:
        """Look again at what is left to do."""
        self._changed.set()

    async def parse(self) -> list[tuple[list[str], bool]]:
        """Read the documents, and return them in groups that are embedded and indexed together. The flag says that a
        group is a single document too large for one slice.

        Raises `StorageFull`, `EncoderUnavailable`.
        """
        await self._while_unchanged(self._parse)
        batch = await self._left()
        if batch is None:
            return []
        sizes = await asyncio.to_thread(self._sizes, batch)
        return [(group, passages > SLICE) for group, passages in groups_of(sizes)]

    async def embed(self, document_id: str) -> bool:
        """Embed the next slice of a large document into the spool; say whether there is more to embed.

        Raises `StorageFull`, `EncoderUnavailable`.
        """
        return bool(await self._while_unchanged(lambda batch: self._embed_slice(batch, document_id)))

    async def index(self, document_ids: Sequence[str]) -> None:
        """Put documents into the index, with what is left to embed of them. Raises as `embed` does."""
        puts = await self._while_unchanged(lambda batch: self._embedded(batch, document_ids))
        if puts:
            await self._put(puts)

    async def _while_unchanged(self, operation: Callable[[Batch], Coroutine[Any, Any, tuple[T]]]) -> T | None:
        """Run an operation on what is left of the batch, again from its beginning whenever that changes."""
        while True:
            self._changed.clear()
            batch = await self._left()
            if batch is None:
                return None
            done = await unless(self._changed, operation(batch))
            if done is not None:
                return done[0]

    async def _left(self) -> Batch | None:
        async with self._tools.database.session() as db:
            batch = await queue.batch(db, self._id)
        self.documents = frozenset(work.id for work in batch.documents) if batch else frozenset()
        return batch

    async def _parse(self, batch: Batch) -> tuple[None]:
        chunking = await self._chunking(batch)
        unread = await asyncio.to_thread(self._unread, batch, chunking)
        for work in unread:
            self._tools.board.post(work.id, work.job_id, "parsing", 1)
        by_id = {work.id: work for work in unread}
        files = [self._file(batch, work) for work in unread]
        failures: dict[str, ParseFailure] = {}
        said_at = asyncio.get_running_loop().time()
        async with aclosing(self._tools.parser.parse(files, chunking)) as results:
            async for document_id, result in results:
                work = by_id[document_id]
                if isinstance(result, ParseFailure):
                    failures[document_id] = result
                elif not result.chunks:
                    failures[document_id] = EMPTY
                else:
                    await asyncio.to_thread(self._tools.spool.save, work.id, key_of(work, chunking), result)
                    self._tools.board.post(work.id, work.job_id, "embedding", _PARSED)
                if failures and asyncio.get_running_loop().time() - said_at > _SAY_EVERY_S:
                    said_at = asyncio.get_running_loop().time()
                    await self._fail(failures)
                    failures = {}
        await self._fail(failures)
        await self._say_embedding()
        return (None,)

    def _unread(self, batch: Batch, chunking: Chunking) -> list[Work]:
        spool = self._tools.spool
        return [work for work in batch.documents if spool.load(work.id, key_of(work, chunking)) is None]

    def _file(self, batch: Batch, work: Work) -> ParseInput:
        path = self._tools.originals.path(batch.collection_id, work.sha256)
        return ParseInput(id=work.id, name=work.name, content=path, media_type=work.media_type)

    async def _say_embedding(self) -> None:
        batch = await self._left()
        if batch is not None:
            async with self._tools.database.transaction() as db:
                await queue.set_state(db, batch.id, [work.id for work in batch.documents], "embedding", _now())

    def _sizes(self, batch: Batch) -> list[tuple[str, int]]:
        """Return how many passages each document has, in the order of the batch."""
        kept = [(work, self._tools.spool.passages(work.id)) for work in batch.documents]
        return [(work.id, passages) for work, passages in kept]

    async def _embed_slice(self, batch: Batch, document_id: str) -> tuple[bool]:
        work = next((one for one in batch.documents if one.id == document_id), None)
        model = await self._tools.encoder.model()
        parsed = await self._parsed(batch, work) if work else None
        if work is None or parsed is None:
            return (False,)
        key = await self._vectors_key(batch, work, model)
        first = await asyncio.to_thread(self._tools.spool.rows, work.id, key, model.dimensions)
        texts = texts_of(parsed, parsed.chunks[first : first + SLICE])
        if texts:
            try:
                vectors = await self._tools.encoder.embed(texts, "passage")
            except TextsRefused as refused:
                await self._fail_refused(work, refused)
                return (False,)
            await asyncio.to_thread(self._tools.spool.append, work.id, key, first, vectors)
        done = first + len(texts)
        self._post_embedded(work, done, len(parsed.chunks))
        return (done < len(parsed.chunks),)

    async def _vectors_key(self, batch: Batch, work: Work, model: EncoderModel) -> str:
        """Say of which passages and of which model vectors in the spool are."""
        return f"{key_of(work, await self._chunking(batch))} {model.fingerprint}"

    async def _embedded(self, batch: Batch, document_ids: Sequence[str]) -> tuple[list[DocumentToPut]]:
        wanted = [work for work in batch.documents if work.id in set(document_ids)]
        model = await self._tools.encoder.model()
        read = [(work, await self._parsed(batch, work)) for work in wanted]
        ready = [(work, parsed) for work, parsed in read if parsed is not None]
        return (await self._puts(batch, ready, model),)

    async def _puts(
        self, batch: Batch, ready: Sequence[tuple[Work, ParsedDocument]], model: EncoderModel
    ) -> list[DocumentToPut]:
        """Embed documents together; if the encoder refuses their texts, one by one, so that one fails alone."""
        if not ready:
            return []
        try:
            vectors = await self._vectors(batch, ready, model)
        except TextsRefused as refused:
            if len(ready) > 1:
                return [put for one in ready for put in await self._puts(batch, [one], model)]
            await self._fail_refused(ready[0][0], refused)
            return []
        return [
            DocumentToPut(record_of(work, parsed), parsed.chunks, rows)
            for (work, parsed), rows in zip(ready, vectors, strict=True)
        ]

    async def _fail_refused(self, work: Work, refused: TextsRefused) -> None:
        """Fail a document whose text is refused. Raises `EncoderUnavailable` if any text is."""
        await self._tools.encoder.embed(["text"], "passage")
        await self._fail({work.id: not_embeddable(refused.message)})

    async def _vectors(
        self, batch: Batch, ready: Sequence[tuple[Work, ParsedDocument]], model: EncoderModel
    ) -> list["NDArray[np.float32]"]:
        """Return the vectors of each document: those of the spool, and the others from the encoder, in one call."""
        import numpy as np

        keys = [(work.id, await self._vectors_key(batch, work, model)) for work, _ in ready]
        kept = [await asyncio.to_thread(self._tools.spool.vectors, *one, model.dimensions) for one in keys]
        missing = [texts_of(parsed, parsed.chunks[len(rows) :]) for (_, parsed), rows in zip(ready, kept, strict=True)]
        texts = [text for some in missing for text in some]
        made = await self._tools.encoder.embed(texts, "passage") if texts else np.empty((0, model.dimensions), "f4")
        for work, parsed in ready:
            self._post_embedded(work, len(parsed.chunks), len(parsed.chunks))
        ends = np.cumsum([len(some) for some in missing])[:-1]
        return [
            np.concatenate([rows[: len(parsed.chunks)], new])
            for (_, parsed), rows, new in zip(ready, kept, np.split(made, ends), strict=True)
        ]

    async def _put(self, puts: Sequence[DocumentToPut]) -> None:
        """Put documents into the index and mark them; what was changed meanwhile is left out."""
        batch = await self._left()
        if batch is None:
            return
        model = await self._tools.encoder.model()
        async with self._tools.locks.index(batch.collection_id):
            batch = await self._left()
            if batch is None:
                return
            still = {work.id: work.sha256 for work in batch.documents}
            wanted = [put for put in puts if still.get(put.record.id) == put.record.sha256]
            index = await self._tools.indexes.open(
                batch.collection_id, VectorModel(model.fingerprint, model.dimensions), batch.index_type
            )
            try:
                taken = await self._put_each(index, wanted, model.fingerprint)
            except Conflict:
                await self._refuse_old(batch, wanted, await index.model())
            else:
                await self._finish(batch, taken, model)

    async def _put_each(self, index: Index, puts: Sequence[DocumentToPut], fingerprint: str) -> list[DocumentToPut]:
        """Put documents together; if one of them can't be kept, one by one, so that it fails alone."""
        try:
            await index.put_many(puts, fingerprint=fingerprint)
        except InvalidRequest as error:
            if len(puts) == 1:
                await self._fail({puts[0].record.id: ParseFailure(code="invalid", message=error.message)})
                return []
            return [one for put in puts for one in await self._put_each(index, [put], fingerprint)]
        return list(puts)

    async def _refuse_old(self, batch: Batch, puts: Sequence[DocumentToPut], held: VectorModel) -> None:
        """Fail documents of a collection that has another model's vectors, which the catalogue knows from now on."""
        if batch.fingerprint is None:
            model = EncoderModel("unknown", held.dimensions, 0, held.fingerprint)
            async with self._tools.database.transaction() as db:
                await queue.set_model(db, batch.collection_id, model=model, now=_now())
        await self._fail({put.record.id: NEEDS_REINDEX for put in puts})

    async def _finish(self, batch: Batch, puts: Sequence[DocumentToPut], model: EncoderModel) -> None:
        done = [Done(put.record.id, put.record.media_type, put.record.pages, len(put.chunks)) for put in puts]
        async with self._tools.database.transaction() as db:
            if batch.fingerprint is None:
                await queue.set_model(db, batch.collection_id, model=model, now=_now())
            finished, jobs = await queue.finish(db, batch.id, done, _now())
            await job_store.close_jobs(db, jobs, _now())
        await asyncio.to_thread(self._tools.spool.remove, [one.id for one in done])
        self._tell(finished, jobs)

    async def _fail(self, failures: dict[str, ParseFailure]) -> None:
        if not failures:
            return
        async with self._tools.database.transaction() as db:
            jobs = await queue.fail(db, self._id, failures, _now())
            await job_store.close_jobs(db, jobs, _now())
        self._tell(failures, jobs)

    def _tell(self, document_ids: Iterable[str], jobs: Iterable[str]) -> None:
        ids = list(document_ids)
        self._tools.board.wipe(ids)
        for job_id in jobs:
            self._tools.board.tell(job_id, ids)

    async def _parsed(self, batch: Batch, work: Work) -> ParsedDocument | None:
        """Return what was read of a document; reads it again if the spool has lost it."""
        chunking = await self._chunking(batch)
        parsed = await asyncio.to_thread(self._tools.spool.load, work.id, key_of(work, chunking))
        if parsed is None:
            await self._parse(replace(batch, documents=(work,)))
            parsed = await asyncio.to_thread(self._tools.spool.load, work.id, key_of(work, chunking))
        if parsed is not None:
            self._tools.board.post_first(work.id, work.job_id, "embedding", _PARSED)
        return parsed

    async def _chunking(self, batch: Batch) -> Chunking:
        model = await self._tools.encoder.model()
        return Chunking(tokens=min(batch.chunk_tokens, model.max_tokens), tokenizer=self._tools.tokenizer())

    def _post_embedded(self, work: Work, done: int, passages: int) -> None:
        percent = _PARSED + (_EMBEDDED - _PARSED) * done // max(1, passages)
        state = "indexing" if done >= passages else "embedding"
        self._tools.board.post(work.id, work.job_id, state, percent)


def _now() -> datetime:
    return datetime.now(UTC)
