"""Taking what was removed out of the files, at the cost of the segments that held it and not of the collection.

tantivy marks removed chunks and keeps their words until it happens to merge their segment. Here every chunk that is
left in such a segment is removed and added again from its stored source, and old states in it are removed, in one
commit: the segment is then empty, and its files go. Whoever searches meanwhile sees the commit before, or this one.
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


def rewrite_marked_segments(index: tantivy.Index, folder: Path, writer: tantivy.IndexWriter) -> None:
    """Commit the segments without what was removed from them, and remove their files. No merge may be going on."""
    listed = segments(folder)  # in the order in which a searcher numbers them
    marked = {number for number, segment in enumerate(listed) if segment.deletes_opstamp is not None}
    doomed = leftover_files(folder).union(*(files_of(listed[number]) for number in marked))
    if marked:
        _write_again(index.searcher(), index.schema, marked, writer)
    writer.commit()
    index.reload()
    writer.garbage_collect_files()
    for name in doomed & leftover_files(folder):  # a search that still reads one keeps what it has open
        (folder / name).unlink(missing_ok=True)


def _write_again(
    searcher: tantivy.Searcher, schema: tantivy.Schema, marked: set[int], writer: tantivy.IndexWriter
) -> None:
    states = searcher.search(Query.term_query(schema, STATE, STATE, "basic"), limit=searcher.num_docs, count=False).hits
    addresses = [address for _, address in states if address.segment_ord in marked]
    for commit in searcher.fast_field_values(COMMIT, addresses):
        writer.delete_documents_by_query(Query.term_query(schema, COMMIT, commit, "basic"))
    for window in _windows(searcher, schema):
        hits = searcher.search(id_range(schema, window), limit=_IDS_AT_ONCE, count=False).hits
        addresses = [address for _, address in hits if address.segment_ord in marked]
        ids = searcher.fast_field_values(CHUNK_ID, addresses)
        found = sorted((int(id_), number) for number, id_ in enumerate(ids) if id_ is not None)
        for run in _runs([id_ for id_, _ in found]):
            writer.delete_documents_by_query(id_range(schema, run, by_terms=True))
        for id_, number in found:
            writer.add_document(to_document(row_of(id_, searcher.doc(addresses[number]))))


def _windows(searcher: tantivy.Searcher, schema: tantivy.Schema) -> Iterator[IdRange]:
    every = id_range(schema, EVERYTHING)
    first, last = (_end(searcher, every, order) for order in (Order.Asc, Order.Desc))
    for start in range(first, last + 1, _IDS_AT_ONCE):
        yield start, start + _IDS_AT_ONCE


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
