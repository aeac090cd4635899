"""Requests that the user's or the organisation's own documents answer.

A question that names the document is copied whole; out of "look in X for Y", Y is copied. `phrases/documents.txt` has
the documents, the questions and the frames.
"""

from collections.abc import Mapping
from random import Random

from main_api.bundled_model.corpus.ask import Ask, Result, Tool
from main_api.bundled_model.corpus.facts.fact import fact
from main_api.bundled_model.corpus.language.phrases import Piece, phrases
from main_api.bundled_model.corpus.language.wording import capitalised, small
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.searches.finding import Search, found
from main_api.bundled_model.corpus.searches.placing import Sought, around, bare, begun, copied, placed, shown, typed
from main_api.bundled_model.corpus.searches.topics import fillers, topic

_FORMS = {
    "topic": 42,
    "about": 7,
    "direct": 20,
    "own": 7,
    "indirect": 8,
    "fact": 10,
    "trailing": 6,
    "it": 4,
    "keywords": 3,
}
_FACT = 0.35
_PART = 0.2
_WORLD = 0.2
_BARE = 0.62
_BY_COMMAND = 0.3
_MANY = 0.4
_OWN_DESCRIPTION = 0.3
_DESCRIPTION = "Search the user's own uploaded documents (handbooks, reports, contracts, notes, PDFs)."
_NAMES = (
    *("rag",) * 14,
    *("rag_search",) * 3,
    *("document_search",) * 3,
    *("search_documents",) * 2,
    "knowledge_base",
    "doc_search",
    "docs",
    "search_files",
    "file_search",
    "search_docs",
    "my_documents",
    "documents",
    "retrieve",
    "retriever",
    "kb_search",
    "search_knowledge",
    "internal_search",
    "pdf_search",
)
_ARGUMENTS = (*("query",) * 8, "q", "search", "question", "text", "search_query", "terms", "keywords")


def tool(rng: Random) -> Tool:
    """Return the document search under one of its names."""
    own = rng.random() < _OWN_DESCRIPTION
    description = _DESCRIPTION if own else phrases("documents").say(rng, "description")
    return Tool(rng.choice(_NAMES), (rng.choice(_ARGUMENTS),), description)


def ask(rng: Random, words: Words) -> Ask:
    """Return a request for what documents say."""
    slots = _documents(rng, words)
    sought = _sought(rng, words, slots)
    request, clause, values = _worded(rng, sought, around(rng, slots))
    return Search(
        "documents",
        request,
        clause,
        values,
        shown(sought.subject, values[0]),
        fact=sought.fact,
        topic=sought.topic,
    )


def result(rng: Random, words: Words, ask: Ask, tool: Tool) -> Result:
    """Return passages of which one answers, mostly."""
    return found(rng, words, ask, "office")


def _documents(rng: Random, words: Words) -> dict[str, str]:
    """Return the slots of the phrase file: where to look, and a topic."""
    slots = fillers(rng, words)
    book = phrases("documents")
    one, many = book.say(rng, "one", **slots), book.say(rng, "many", **slots)
    about = topic(rng, words, "world" if rng.random() < _WORLD else "office", slots)
    return slots | {"one": one, "many": many, "d": many if rng.random() < _MANY else one, "t": about}


def _sought(rng: Random, words: Words, slots: Mapping[str, str]) -> Sought:
    form = rng.choices(list(_FORMS), list(_FORMS.values()))[0]
    about, book = slots["t"], phrases("documents")
    if form in ("fact", "trailing") or (form == "topic" and rng.random() < _FACT):
        known = fact(rng, words, "organisation")
        if form == "trailing":
            text = f"{small(known.question)} {book.say(rng, form, **slots)}"
            return Sought("direct", typed(rng, text), known.subject, known)
        if form == "fact":
            return Sought(form, typed(rng, small(known.question)), known.subject, known)
        return Sought(form, typed(rng, known.noun), known.noun.removeprefix("the "), known)
    if form != "topic":
        text = book.say(rng, form, **slots)
    else:
        text = book.say(rng, "part", **slots) if rng.random() < _PART else about
    subject = next((part for part in (about, slots["org"], slots["noun"]) if part in text), text)
    return Sought(form, typed(rng, text), subject.removeprefix("the "), topic=subject)


def _worded(rng: Random, sought: Sought, slots: Mapping[str, str]) -> tuple[list[Piece], list[Piece], tuple[str]]:
    """Return the request, the clause and the values."""
    book, text = phrases("documents"), sought.text
    names_document = sought.form in ("direct", "own", "indirect")
    sections = {
        "topic": ("clause topic", "request topic"),
        "about": ("clause about", "clause about"),
        "fact": ("clause fact", "request question"),
        "it": ("clause fact", "request question"),
    }
    commanding, asking = sections.get(sought.form, ("clause question", "request frame"))
    if sought.form == "keywords":
        return [Piece(text, slot=True)], [], (text,)
    clause = placed(rng, book, commanding, text, slots)
    if sought.form in ("direct", "own") and rng.random() < _BARE:
        request = bare(rng, text, slots)
        return request, clause if copied(request) == text and rng.random() < 0.5 else [], (copied(request),)
    if sought.form == "about" or (not names_document and rng.random() < _BY_COMMAND):
        return capitalised(clause), clause, (text,)
    request = capitalised(begun(rng, placed(rng, book, asking, text, slots)))
    return request, clause if copied(request) == text else [], (copied(request),)
