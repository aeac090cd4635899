"""How tantivy keeps the words: its fields, and the analyzers that texts and questions go through.

Of a chunk there are `body` and `whole` (see `analysis.py`), `title` (title, headings and file name of its document,
analysed like `body`) and `source`, the row as it came, stored so that files can be rewritten without what was removed.
With each commit goes a document of its own: `state` finds those, `commit` counts them, and `upto` of the last one is
the number of the last change that was applied.
"""

from dataclasses import dataclass
from functools import cached_property

import tantivy

from tools_api.rag.words.languages import QUESTION_WORDS, STOP_WORD_LANGUAGES, Language

BODY, WHOLE, TITLE, SOURCE, CHUNK_ID = "body", "whole", "title", "source", "chunk_id"
STATE, COMMIT, UPTO = "state", "commit", "upto"
_LONGEST_TOKEN = 100
_WORDS, _COMPOUNDS = "words", "compounds"


@dataclass(frozen=True)
class Analyzers:
    """Cuts texts into terms, for one language."""

    language: Language

    @cached_property
    def words(self) -> tantivy.TextAnalyzer:
        """For `body` and `title`: everything that is no letter or digit separates."""
        return self._stemmed(tantivy.Tokenizer.simple())

    @cached_property
    def compounds(self) -> tantivy.TextAnalyzer:
        """For `whole`: white space separates."""
        return self._stemmed(tantivy.Tokenizer.whitespace())

    @cached_property
    def telling_words(self) -> tantivy.TextAnalyzer:
        """For questions: as `words`, without those that say nothing of what is asked for."""
        return self._stemmed(tantivy.Tokenizer.simple(), without_stop_words=True)

    def _stemmed(self, tokenizer: tantivy.Tokenizer, *, without_stop_words: bool = False) -> tantivy.TextAnalyzer:
        builder = tantivy.TextAnalyzerBuilder(tokenizer).filter(tantivy.Filter.remove_long(_LONGEST_TOKEN))
        builder = builder.filter(tantivy.Filter.lowercase())
        if without_stop_words and self.language in STOP_WORD_LANGUAGES:
            builder = builder.filter(tantivy.Filter.stopword(self.language))
            builder = builder.filter(tantivy.Filter.custom_stopword(QUESTION_WORDS.get(self.language, [])))
        builder = builder.filter(tantivy.Filter.ascii_fold())
        if self.language != "none":
            builder = builder.filter(tantivy.Filter.stemmer(self.language))
        return builder.build()


def schema() -> tantivy.Schema:
    """Return the fields of an index."""
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field(CHUNK_ID, indexed=True, fast=True)
    builder.add_text_field(BODY, tokenizer_name=_WORDS)
    builder.add_text_field(TITLE, tokenizer_name=_WORDS)
    builder.add_text_field(WHOLE, tokenizer_name=_COMPOUNDS, index_option="freq")
    builder.add_bytes_field(SOURCE, stored=True)
    builder.add_text_field(STATE, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field(COMMIT, indexed=True, fast=True)
    builder.add_unsigned_field(UPTO, stored=True)
    return builder.build()


def register(index: tantivy.Index, analyzers: Analyzers) -> None:
    """Tell an index how its fields are analysed; tantivy does not keep that in its files."""
    index.register_tokenizer(_WORDS, analyzers.words)
    index.register_tokenizer(_COMPOUNDS, analyzers.compounds)
