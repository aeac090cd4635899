"""Gives the passages of a collection vectors of today's embedding model, while those of the old one are searched.

Texts stay as they are. The steps may be run again after a crash: a passage that has its vector is not embedded twice.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from shared.errors import Conflict
from tools_api.embeddings.errors import TextsRefused
from tools_api.embeddings.protocol import EncoderModel
from tools_api.rag.documents import store as documents_store
from tools_api.rag.ingestion import job_store, queue
from tools_api.rag.ingestion.interruptible import unless
from tools_api.rag.ingestion.protocol import Index
from tools_api.rag.ingestion.work import Tools
from tools_api.rag.passages import embedded_text

_AT_ONCE = 1024
"""Passages of a step."""


class ReindexWork:
    """Works on one job of kind `reindex`."""

    def __init__(self, job_id: str, tools: Tools) -> None:
        self.documents: frozenset[str] = frozenset()
        self.job_id = job_id
        self._tools = tools
        self._changed = asyncio.Event()
        self._behind = 0

    def interrupt(self) -> None:
        """Look again whether the job goes on."""
        self._changed.set()

    async def fill(self) -> bool:
        """Embed some passages that lack a vector; say whether there may be more.

        Raises `StorageFull`, `EncoderUnavailable`.
        """
        self._changed.clear()
        collection_id = await self._collection()
        index = await self._tools.indexes.existing(collection_id) if collection_id else None
        if index is None:
            return False
        model = await self._tools.encoder.model()
        if (await index.model()).fingerprint == model.fingerprint:
            return False
        await index.begin_generation(model.fingerprint, model.dimensions)
        await self._say(index)
        try:
            more = await unless(self._changed, self._fill(index))
        except TextsRefused as refused:
            return await self._give_up(refused)
        return True if more is None else more

    async def finish(self) -> None:
        """Search the new vectors from now on, or, if the job was cancelled, forget them. Raises `StorageFull`."""
        async with self._tools.database.session() as db:
            job = await job_store.job(db, self.job_id)
        if job is None:
            return
        index = await self._tools.indexes.existing(job.collection_id)
        async with self._tools.locks.index(job.collection_id):
            if job.state in {"queued", "running"}:
                model = await self._tools.encoder.model()
                bare = await self._settle(index, model) if index is not None else []
                await self._close(job.collection_id, model, bare)
            elif index is not None:
                await index.abandon_generation()
        self._tools.board.tell(self.job_id)

    async def _settle(self, index: Index, model: EncoderModel) -> list[str]:
        """Let the collection have today's vectors; return the documents that have none, to be read again."""
        if (await index.model()).fingerprint != model.fingerprint:
            await self._commit(index)
            return []
        await index.abandon_generation()  # of a model that was there in between
        return await index.without_vectors()

    async def _commit(self, index: Index) -> None:
        try:
            await index.commit_generation()
        except Conflict:  # documents came with an older model's vectors in between
            self._behind = 0
            while await self._fill(index):
                pass
            await index.commit_generation()

    async def _fill(self, index: Index) -> bool:
        lacking = await index.lacking_vectors(after=self._behind, limit=_AT_ONCE)
        if not lacking:
            return False
        texts = [embedded_text(one.document.title, one.chunk.headings, one.chunk.text) for one in lacking]
        vectors = await self._tools.encoder.embed(texts, "passage")
        await index.fill([one.chunk_id for one in lacking], vectors)
        self._behind = lacking[-1].chunk_id
        await self._say(index)
        return True

    async def _give_up(self, refused: TextsRefused) -> bool:
        """End the job with the old vectors. Raises `EncoderUnavailable` if any text is refused."""
        await self._tools.encoder.embed(["text"], "passage")
        error = ("not_embeddable", refused.message)
        async with self._tools.database.transaction() as db:
            await job_store.end(db, self.job_id, "failed", datetime.now(UTC), error=error)
        return False

    async def _collection(self) -> str | None:
        """Return the job's collection, None if the job does not go on."""
        async with self._tools.database.session() as db:
            job = await job_store.job(db, self.job_id)
        return job.collection_id if job is not None and job.state in {"queued", "running"} else None

    async def _say(self, index: Index) -> None:
        stats = await index.stats()
        done = stats.chunks - (stats.pending or 0)
        async with self._tools.database.transaction() as db:
            await job_store.advance(db, self.job_id, done=done, total=stats.chunks, now=datetime.now(UTC))
        self._tools.board.tell(self.job_id)

    async def _close(self, collection_id: str, model: EncoderModel, bare: Sequence[str]) -> None:
        now = datetime.now(UTC)
        async with self._tools.database.transaction() as db:
            await queue.set_model(db, collection_id, model=model, now=now, next_generation=True)
            for document_id in bare:
                row = await documents_store.row(db, collection_id, document_id)
                if row is not None and row.state == "indexed":
                    await documents_store.requeue_with_copies(db, document_id, now)
            await job_store.end(db, self.job_id, "finished", now)
