"""The words of one collection, kept by tantivy: see `WordsView` for what it promises.

Every change is one commit of tantivy, and the number of the change is a document in it; so after `kill -9` number and
content agree. What is removed is only marked at first; `purge` rewrites the segments that hold such marks.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

import tantivy
from tantivy import Order, Query

from tools_api.rag.index.words_view import IdRange, OpenWords, WordsRow, WordsView
from tools_api.rag.values import ScoredChunk
from tools_api.rag.words.document import to_document
from tools_api.rag.words.failures import words_failures
from tools_api.rag.words.folder import open_folder
from tools_api.rag.words.languages import Language
from tools_api.rag.words.purge import Purge
from tools_api.rag.words.question import having_phrases, id_range, most_possible, to_query, understand, within
from tools_api.rag.words.schema import CHUNK_ID, COMMIT, STATE, UPTO, Analyzers
from tools_api.rag.words.writer import Writer

_RANGES_IN_QUERY = 16
"""Up to as many ranges tantivy looks for matches in them only; of more, matches are picked afterwards."""


def words_opener(language: Language, *, idle_s: float = 30.0) -> OpenWords:
    """Return what opens the words of a collection in a folder. Writers are kept for `idle_s` after their last use."""
    analyzers = Analyzers(language)

    def open_words(folder: Path) -> WordsView:
        return TantivyWords(folder, analyzers, idle_s=idle_s)

    return open_words


class TantivyWords:
    """Implements `WordsView`."""

    def __init__(self, folder: Path, analyzers: Analyzers, *, idle_s: float) -> None:
        self._folder = folder
        self._analyzers = analyzers
        with words_failures(folder.parent):
            self._index = open_folder(folder, analyzers)
            self._schema = self._index.schema
            self._commits, self._upto = self._last_state()
        self._purge = Purge(self._index, folder)
        self._writer = Writer(self._index, folder, idle_s=idle_s)

    def applied_upto(self) -> int:
        return self._upto

    def apply(self, added: Iterable[WordsRow], removed: Sequence[IdRange], upto: int) -> None:
        with self._committing() as writer:
            for ids in removed:
                writer.delete_documents_by_query(id_range(self._schema, ids, by_terms=True))
            for row in added:
                writer.add_document(to_document(row))
            self._add_state(writer, upto)
            writer.commit()
            self._index.reload()
        self._upto = upto

    def search(self, query: str, k: int, allowed: Sequence[IdRange] | None) -> list[ScoredChunk]:
        question = understand(query, self._analyzers)
        if not question or k < 1 or (allowed is not None and not allowed):
            return []
        words = to_query(question, self._schema, self._index.searcher())
        if question.phrases:
            strict = having_phrases(words, question.phrases, self._schema)
            if found := self._best(strict, k, allowed):
                return found
        return self._best(words, k, allowed)

    def most(self, query: str) -> float:
        """Return what BM25 could give at most: a short chunk with every word of the question, many times over."""
        return most_possible(understand(query, self._analyzers), self._index.searcher())

    def purge(self) -> bool:
        with words_failures(self._folder):
            self._writer.finish_merges()
        with self._committing() as writer:
            self._add_state(writer, self._upto)
            return self._purge.round(writer)

    def close(self) -> None:
        self._writer.close()

    def _best(self, query: Query, k: int, allowed: Sequence[IdRange] | None) -> list[ScoredChunk]:
        """Return the best matches. Where ranges are many, more and more matches are looked at until `k` are allowed."""
        searcher = self._index.searcher()
        few = allowed is not None and len(allowed) <= _RANGES_IN_QUERY
        if allowed is not None:
            query = within(query, allowed if few else [(allowed[0][0], allowed[-1][1])], self._schema)
        limit = k
        while True:
            hits = searcher.search(query, limit=limit, count=False).hits
            ids = searcher.fast_field_values(CHUNK_ID, [address for _, address in hits])
            found = [ScoredChunk(int(id_), score) for (score, _), id_ in zip(hits, ids, strict=True) if id_ is not None]
            if allowed is not None and not few:
                found = _of(found, allowed)
            if len(found) >= k or len(hits) < limit:
                return found[:k]
            limit *= 8

    @contextmanager
    def _committing(self) -> Generator[tantivy.IndexWriter]:
        with words_failures(self._folder), self._writer.writing() as writer:
            yield writer

    def _add_state(self, writer: tantivy.IndexWriter, upto: int) -> None:
        """Add a new one and leave the old ones: removing them would mark their segments, for nothing."""
        self._commits += 1
        document = tantivy.Document()
        document.add_text(STATE, STATE)
        document.add_unsigned(COMMIT, self._commits)
        document.add_unsigned(UPTO, upto)
        writer.add_document(document)

    def _last_state(self) -> tuple[int, int]:
        """Return the number of the last commit, and of the last change in it."""
        searcher = self._index.searcher()
        states = Query.term_query(self._schema, STATE, STATE, "basic")
        hits = searcher.search(states, limit=1, count=False, order_by_field=COMMIT, order=Order.Desc).hits
        return (int(hits[0][0]), int(searcher.doc(hits[0][1])[UPTO][0])) if hits else (0, 0)


def _of(found: Iterable[ScoredChunk], allowed: Sequence[IdRange]) -> list[ScoredChunk]:
    starts = [start for start, _ in allowed]
    return [hit for hit in found if hit.chunk_id < allowed[bisect_right(starts, hit.chunk_id) - 1][1]]
