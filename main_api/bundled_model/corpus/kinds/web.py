"""Requests that the web answers: questions about the world, and commands to search for something.

Questions are copied whole; out of a command what is sought is copied. `phrases/web.txt` has the frames,
`phrases/web_questions.txt` questions with sentences that answer them.
"""

import re
from collections.abc import Mapping
from random import Random

from main_api.bundled_model.corpus.ask import Ask, Result, Tool
from main_api.bundled_model.corpus.facts.fact import fact
from main_api.bundled_model.corpus.language.phrases import Piece, phrases
from main_api.bundled_model.corpus.language.wording import capital, capitalised, small
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.searches.finding import Search, found
from main_api.bundled_model.corpus.searches.placing import Sought, around, bare, begun, copied, placed, shown, typed
from main_api.bundled_model.corpus.searches.topics import fillers, topic

_FORMS = {"topic": 40, "direct": 36, "indirect": 14, "keywords": 10}
_FACT = 0.35
_OFFICE = 0.1
"""How often a topic is one that documents are asked for too; then the web is named."""
_BARE = 0.58
_BARE_KEYWORDS = 0.35
_BY_COMMAND = 0.3
_OWN_DESCRIPTION = 0.3
_DESCRIPTION = "Search the web for current information and facts."
_WEB = re.compile(r"web|internet|net\b|online|[Gg]oogl|search engine|Wikipedia")
_NAMES = (
    *("websearch",) * 14,
    *("web_search",) * 4,
    *("search_web",) * 2,
    "internet_search",
    "search",
    "google",
    "google_search",
    "search_internet",
    "web",
    "online_search",
    "search_online",
    "browser_search",
    "duckduckgo",
    "bing_search",
    "find_online",
    "webSearch",
    "web-search",
    "news_search",
)
_ARGUMENTS = (*("query",) * 8, "q", "search", "question", "text", "search_query", "terms", "keywords")


def tool(rng: Random) -> Tool:
    """Return the web search under one of its names."""
    own = rng.random() < _OWN_DESCRIPTION
    description = _DESCRIPTION if own else phrases("web").say(rng, "description")
    return Tool(rng.choice(_NAMES), (rng.choice(_ARGUMENTS),), description)


def ask(rng: Random, words: Words) -> Ask:
    """Return a request for facts of the world."""
    slots = fillers(rng, words)
    sought = _sought(rng, words, slots)
    request, clause, values = _worded(rng, sought, around(rng, slots))
    return Search(
        "web",
        request,
        clause,
        values,
        shown(sought.subject, values[0]),
        fact=sought.fact,
        answer=sought.answer,
        topic=sought.topic,
    )


def result(rng: Random, words: Words, ask: Ask, tool: Tool) -> Result:
    """Return sources of which one answers, mostly."""
    return found(rng, words, ask, "world")


def _sought(rng: Random, words: Words, slots: Mapping[str, str]) -> Sought:
    form = rng.choices(list(_FORMS), list(_FORMS.values()))[0]
    if form in ("topic", "direct") and rng.random() < _FACT:
        known = fact(rng, words, "world")
        if form == "topic":
            return Sought(form, typed(rng, known.noun), _title(known.noun), known)
        return Sought(form, typed(rng, small(known.question)), known.subject, known)
    if form == "topic":
        other = rng.random() < _OFFICE
        text = topic(rng, words, "office" if other else "world", slots)
        return Sought("named" if other else form, typed(rng, text), _title(text), topic=text)
    pieces = phrases("web_questions").pieces(rng, form, **slots)
    question, _, answer = "".join(piece.text for piece in pieces).partition(" => ")
    subjects = [piece.text for piece in pieces if piece.slot and piece.text in question and piece.text != slots["when"]]
    answer = capital(answer)
    return Sought(form, typed(rng, question), max(subjects, key=len, default=question), answer=answer, topic=question)


def _worded(rng: Random, sought: Sought, slots: Mapping[str, str]) -> tuple[list[Piece], list[Piece], tuple[str]]:
    """Return the request, the clause and the values."""
    book, text = phrases("web"), sought.text
    question = sought.form in ("direct", "indirect")
    clause = placed(rng, book, "clause question" if question else "clause topic", text)
    if sought.form == "direct" and rng.random() < _BARE:
        request = bare(rng, text, slots)
        return request, clause if copied(request) == text and rng.random() < 0.5 else [], (copied(request),)
    if sought.form == "keywords" and rng.random() < _BARE_KEYWORDS:
        request = begun(rng, [Piece(text, slot=True)]) if rng.random() < 0.4 else [Piece(text, slot=True)]
        return request, [], (copied(request),)
    if sought.form == "named":
        while not _WEB.search("".join(piece.text for piece in clause if not piece.slot)):
            clause = placed(rng, book, "clause topic", text)
    if sought.form == "named" or rng.random() < _BY_COMMAND:
        return capitalised(clause), clause, (text,)
    section = {"direct": "request question", "indirect": "request indirect"}.get(sought.form, "request topic")
    request = capitalised(begun(rng, placed(rng, book, section, text, slots)))
    return request, clause if copied(request) == text else [], (copied(request),)


def _title(text: str) -> str:
    return text.removeprefix("the ")
