"""Taking what was removed out of the files, at the cost of the segments that held it and not of the collection.

tantivy marks removed chunks and keeps their words until it happens to merge their segment. Here every chunk that is
left in such a segment is removed and added again from its stored source, and old states in it are removed: the segment
is then empty, and its files go. A large segment takes several rounds, so that nobody waits long for the writer; whoever
searches meanwhile sees the commit before a round, or that after it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import tantivy
from tantivy import Order, Query

from tools_api.rag.index.words_view import EVERYTHING, IdRange
from tools_api.rag.words.document import row_of, to_document
from tools_api.rag.words.folder import files_of, leftover_files, segments
from tools_api.rag.words.question import id_range
from tools_api.rag.words.schema import CHUNK_ID, COMMIT, STATE

_IDS_AT_ONCE = 2048
CHUNKS_A_ROUND = 20_000
"""Takes two or three seconds."""


class Purge:
    """Goes through the chunks of marked segments, round by round."""

    def __init__(self, index: tantivy.Index, folder: Path) -> None:
        self._index = index
        self._folder = folder
        self._next_id = 0

    def round(self, writer: tantivy.IndexWriter) -> bool:
        """Commit what a round rewrote, remove files that are not needed any more, and say whether marks are left.

        No merge may be going on when it begins.
        """
        self._index.reload()
        listed = segments(self._folder)  # in the order in which a searcher numbers them
        marked = {number for number, segment in enumerate(listed) if segment.deletes_opstamp is not None}
        doomed = leftover_files(self._folder).union(*(files_of(listed[number]) for number in marked))
        if marked:
            self._write_again(self._index.searcher(), marked, writer)
        writer.commit()
        self._index.reload()
        writer.garbage_collect_files()
        for name in doomed & leftover_files(self._folder):  # a search that still reads one keeps what it has open
            (self._folder / name).unlink(missing_ok=True)
        return any(segment.deletes_opstamp is not None for segment in segments(self._folder))

    def _write_again(self, searcher: tantivy.Searcher, marked: set[int], writer: tantivy.IndexWriter) -> None:
        self._remove_states(searcher, marked, writer)
        written = 0
        for window in self._windows(searcher):
            written += _rewrite(searcher, self._index.schema, window, marked, writer)
            self._next_id = window[1]
            if written >= CHUNKS_A_ROUND:
                return
        self._next_id = 0

    def _remove_states(self, searcher: tantivy.Searcher, marked: set[int], writer: tantivy.IndexWriter) -> None:
        schema = self._index.schema
        every = Query.term_query(schema, STATE, STATE, "basic")
        states = searcher.search(every, limit=max(searcher.num_docs, 1), count=False).hits
        addresses = [address for _, address in states if address.segment_ord in marked]
        for commit in searcher.fast_field_values(COMMIT, addresses):
            writer.delete_documents_by_query(Query.term_query(schema, COMMIT, commit, "basic"))

    def _windows(self, searcher: tantivy.Searcher) -> Iterator[IdRange]:
        """Yield the ids that are there in pieces, beginning where the last round ended."""
        every = id_range(self._index.schema, EVERYTHING)
        first, last = (_end(searcher, every, order) for order in (Order.Asc, Order.Desc))
        start = self._next_id if first < self._next_id <= last else first
        for begin in range(start, last + 1, _IDS_AT_ONCE):
            yield begin, begin + _IDS_AT_ONCE


def _rewrite(
    searcher: tantivy.Searcher, schema: tantivy.Schema, ids: IdRange, marked: set[int], writer: tantivy.IndexWriter
) -> int:
    """Remove and add again what marked segments have in a range of ids, and return how many chunks that were."""
    hits = searcher.search(id_range(schema, ids), limit=_IDS_AT_ONCE, count=False).hits
    addresses = [address for _, address in hits if address.segment_ord in marked]
    there = searcher.fast_field_values(CHUNK_ID, addresses)
    found = sorted((int(id_), number) for number, id_ in enumerate(there) if id_ is not None)
    for run in _runs([id_ for id_, _ in found]):
        writer.delete_documents_by_query(id_range(schema, run, by_terms=True))
    for id_, number in found:
        writer.add_document(to_document(row_of(id_, searcher.doc(addresses[number]))))
    return len(found)


def _end(searcher: tantivy.Searcher, every: Query, order: Order) -> int:
    hits = searcher.search(every, limit=1, count=False, order_by_field=CHUNK_ID, order=order).hits
    return int(hits[0][0]) if hits else (0 if order == Order.Asc else -1)


def _runs(ids: Sequence[int]) -> Iterator[IdRange]:
    """Yield ascending ids as ranges without gaps."""
    start = 0
    for position in range(1, len(ids) + 1):
        if position == len(ids) or ids[position] != ids[position - 1] + 1:
            yield ids[start], ids[position - 1] + 1
            start = position
