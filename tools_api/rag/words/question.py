"""From a question in plain words to tantivy's query. There is no syntax but quotes, so no question can be wrong.

A word counts by BM25 in the text, and less in title, headings and file name. Words that say nothing (*what is the …*)
are left out where others remain. A compound is looked for by its parts and written together. What stands in quotes has
to occur as it is written there, unless nothing does.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tantivy import FieldType, Occur, Query, Schema, Searcher

from tools_api.rag.index.words_view import IdRange
from tools_api.rag.words.analysis import analyse
from tools_api.rag.words.schema import BODY, CHUNK_ID, TITLE, WHOLE, Analyzers

TITLE_WEIGHT = 0.5
JOINED_WEIGHT = 0.25
"""What a plain word counts in a compound that is the same written together: `email` in *e-mail*."""
_CHARACTERS = 8_000
_TERMS = 256
_PHRASES = 8
_K1 = 1.2  # tantivy's
_QUOTED = re.compile('["“”„«»]([^"“”„«»]{2,500})["“”„«»]')


@dataclass(frozen=True, slots=True)
class Question:
    """A question's terms with how often each occurs, and its quoted phrases as terms in order."""

    words: Counter[str]
    compounds: frozenset[str]
    phrases: tuple[tuple[str, ...], ...]

    def __bool__(self) -> bool:
        return bool(self.words or self.compounds)


def understand(text: str, analyzers: Analyzers) -> Question:
    """Return what a question asks for; nothing at all is a possible answer."""
    text = text[:_CHARACTERS].encode(errors="ignore").decode()
    quoted = (match[1] for match in _QUOTED.finditer(text))
    phrases = (tuple(analyzers.words.analyze(analyse(phrase).body)) for phrase in quoted)
    analysed = analyse(text)
    words = Counter(_telling(text, analysed.body, analyzers))
    compounds = {term for term in analyzers.compounds.analyze(analysed.whole) if len(term) > 1 or term in words}
    return Question(
        words=Counter(dict(words.most_common(_TERMS))),
        compounds=frozenset(sorted(compounds)[:_TERMS]),
        phrases=tuple(phrase for phrase in phrases if phrase)[:_PHRASES],
    )


def _telling(text: str, body: str, analyzers: Analyzers) -> Iterable[str]:
    """Return the terms without stop words, unless there are no others. *WHO* and *IT* are none."""
    capitals = (
        "" if text.isupper() else " ".join(word for word in re.findall(r"\b[^\W\d_]{2,}\b", body) if word.isupper())
    )
    telling = analyzers.telling_words.analyze(body)
    if capitals:
        telling += [term for term in analyzers.words.analyze(capitals) if term not in telling]
    return telling or analyzers.words.analyze(body)


def to_query(question: Question, schema: Schema, searcher: Searcher) -> Query:
    """Return the query for a question's words; every chunk with one of them matches."""
    return Query.boolean_query([(Occur.Should, query) for query in _terms(question, schema, searcher)])


def _terms(question: Question, schema: Schema, searcher: Searcher) -> Iterator[Query]:
    """Yield one flat list: tantivy skips what can't reach the best only where no clause is nested."""
    for word, count in question.words.items():
        known = searcher.doc_freq(BODY, word) > 0
        yield _weighted(Query.term_query(schema, BODY, word), count)
        yield _weighted(Query.term_query(schema, TITLE, word), count * TITLE_WEIGHT)
        yield _weighted(Query.term_query(schema, WHOLE, word), count * (JOINED_WEIGHT if known else 1.0))
    for compound in question.compounds - question.words.keys():
        yield Query.term_query(schema, WHOLE, compound)
        yield _weighted(Query.term_query(schema, BODY, compound), 0.5)
        yield _weighted(Query.term_query(schema, TITLE, compound), TITLE_WEIGHT)


def most_possible(question: Question, searcher: Searcher) -> float:
    """Return the BM25 that no chunk can pass by its text: each word's weight, as often as the question has it."""
    chunks = searcher.num_docs
    frequencies = ((count, searcher.doc_freq(BODY, word)) for word, count in question.words.items())
    return sum(
        count * (_K1 + 1) * math.log1p((chunks - frequency + 0.5) / (frequency + 0.5))
        for count, frequency in frequencies
    )


def _weighted(query: Query, weight: float) -> Query:
    return query if weight == 1 else Query.boost_query(query, weight)


def having_phrases(query: Query, phrases: Sequence[Sequence[str]], schema: Schema) -> Query:
    """Return the query for those of its matches that have every phrase, in the text or in the title."""
    parts = [(Occur.Must, query)]
    for phrase in phrases:
        parts.append(
            (
                Occur.Must,
                Query.boolean_query([(Occur.Should, _phrase(phrase, schema, field)) for field in (BODY, TITLE)]),
            )
        )
    return Query.boolean_query(parts)


def _phrase(phrase: Sequence[str], schema: Schema, field: str) -> Query:
    if len(phrase) == 1:
        return Query.term_query(schema, field, phrase[0])
    return Query.phrase_query(schema, field, list(phrase))


def within(query: Query, ranges: Sequence[IdRange], schema: Schema) -> Query:
    """Return the query for those of its matches that lie in one of the ranges; scores stay as they are."""
    allowed = Query.boolean_query([(Occur.Should, id_range(schema, one)) for one in ranges])
    return Query.boolean_query([(Occur.Must, query), (Occur.Must, Query.const_score_query(allowed, 0.0))])


def id_range(schema: Schema, ids: IdRange, *, by_terms: bool = False) -> Query:
    """Return the query for a range of chunk ids, by the column of ids or, for few of many, by their terms."""
    return Query.range_query(
        schema,
        CHUNK_ID,
        FieldType.Unsigned,
        lower_bound=ids[0],
        upper_bound=ids[1],
        include_upper=False,
        use_inverted_index=by_terms,
    )
