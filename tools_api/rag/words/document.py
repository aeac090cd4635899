"""A chunk as tantivy keeps it, and back."""

import json

import tantivy

from tools_api.rag.index.words_view import WordsRow
from tools_api.rag.words.analysis import analyse
from tools_api.rag.words.schema import BODY, CHUNK_ID, SOURCE, TITLE, WHOLE


def to_document(row: WordsRow) -> tantivy.Document:
    """Return a chunk analysed, and its source."""
    body = analyse(row.text)
    title = analyse(" ".join([row.title or "", *row.headings, row.name]))
    document = tantivy.Document()
    document.add_unsigned(CHUNK_ID, row.chunk_id)
    document.add_text(BODY, body.body)
    document.add_text(TITLE, title.body)
    document.add_text(WHOLE, f"{body.whole} {title.whole}")
    document.add_bytes(SOURCE, json.dumps([row.text, row.headings, row.title, row.name]).encode())
    return document


def row_of(chunk_id: int, document: tantivy.Document) -> WordsRow:
    """Return the chunk that a stored document was made of."""
    text, headings, title, name = json.loads(bytes(document[SOURCE][0]))
    return WordsRow(chunk_id=chunk_id, text=text, headings=tuple(headings), title=title, name=name)
