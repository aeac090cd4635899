"""How far the documents in work are, and who wants to know: what changes too often for the database."""

import asyncio
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import replace

from tools_api.rag.documents.values import Document, DocumentState


class Watch:
    """Collects which documents of a job changed until somebody asks."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._documents: set[str] = set()

    def note(self, document_ids: Iterable[str]) -> None:
        self._documents.update(document_ids)
        self._changed.set()

    async def changes(self, within_s: float) -> set[str] | None:
        """Wait for changes; None if there were none in that time."""
        try:
            async with asyncio.timeout(within_s):
                await self._changed.wait()
        except TimeoutError:
            return None
        documents, self._documents = self._documents, set()
        self._changed.clear()
        return documents


class Board:
    """State and percent of documents in work. For the event loop's thread."""

    def __init__(self) -> None:
        self._standing: dict[str, tuple[DocumentState, int]] = {}
        self._watches: dict[str, set[Watch]] = {}
        self.note: str | None = None
        """Why nothing moves now, if something is in the way of all work."""

    def post(self, document_id: str, job_id: str | None, state: DocumentState, percent: int) -> None:
        """Say how far a document is."""
        if self._standing.get(document_id) != (state, percent):
            self._standing[document_id] = (state, percent)
            self.tell(job_id, [document_id])

    def post_first(self, document_id: str, job_id: str | None, state: DocumentState, percent: int) -> None:
        """Say how far a document is at least, if nobody has said it yet: after a restart, say."""
        if document_id not in self._standing:
            self.post(document_id, job_id, state, percent)

    def wipe(self, document_ids: Iterable[str]) -> None:
        """Forget documents: the database has the last word on them."""
        for document_id in document_ids:
            self._standing.pop(document_id, None)

    def tell(self, job_id: str | None, document_ids: Sequence[str] = ()) -> None:
        """Tell those who watch a job that it, or documents of it, changed."""
        for watch in self._watches.get(job_id or "", ()):
            watch.note(document_ids)

    @contextmanager
    def watching(self, job_id: str) -> Generator[Watch]:
        """Watch a job."""
        watch = Watch()
        self._watches.setdefault(job_id, set()).add(watch)
        try:
            yield watch
        finally:
            self._watches[job_id].discard(watch)
            if not self._watches[job_id]:
                del self._watches[job_id]

    def ahead(self, document_ids: Iterable[str]) -> int:
        """Return the percents of these documents together."""
        return sum(self._standing[one][1] for one in document_ids if one in self._standing)

    def seen(self, document: Document) -> Document:
        """Return a document as it stands now, if it is in work."""
        standing = self._standing.get(document.duplicate_of or document.id)
        if standing is None or document.state in {"indexed", "failed", "cancelled"}:
            return document
        return replace(document, state=standing[0], percent=standing[1])

    def in_work(self) -> list[str]:
        """Return the documents that somebody works on."""
        return list(self._standing)
