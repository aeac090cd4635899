"""Requests for a presentation. The topic alone is copied; counts, audiences and purposes around it are not."""

import re
from collections.abc import Mapping
from random import Random

from main_api.bundled_model.corpus.ask import Ask, Result, Tool
from main_api.bundled_model.corpus.facts.fact import fact
from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.wording import capitalised
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.searches.placing import around, begun, copied, placed, shown, typed
from main_api.bundled_model.corpus.searches.topics import fillers, topic

_FACT = 0.06
_OFFICE = 0.25
_DOCUMENT = 0.07
"""How often the slides are about a document, which is no search of it."""
_BY_COMMAND = 0.25
_SPELLED = 0.35
_OWN_DESCRIPTION = 0.3
_DESCRIPTION = "Make a slide presentation about a topic."
_COUNTS = ("three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "fifteen", "twenty", "two")
_NAMES = (
    *("ppt_maker",) * 14,
    *("make_slides",) * 3,
    *("create_presentation",) * 3,
    "slides",
    "make_presentation",
    "presentation_maker",
    "slide_maker",
    "create_slides",
    "powerpoint",
    "generate_slides",
    "build_deck",
    "deck_builder",
    "pptx",
    "presentation",
    "make_ppt",
    "slide_generator",
    "create_pptx",
)
_ARGUMENTS = (*("topic",) * 8, "subject", "title", "instruction", "about", "theme", "text", "content")
_VOWEL = re.compile(r"\ba (?=eight|8|11\b|18\b)")
_ENDINGS = ("pptx", "pptx", "pptx", "md", "pdf", "html")


def tool(rng: Random) -> Tool:
    """Return the maker of presentations under one of its names."""
    own = rng.random() < _OWN_DESCRIPTION
    description = _DESCRIPTION if own else phrases("slides").say(rng, "description")
    return Tool(rng.choice(_NAMES), (rng.choice(_ARGUMENTS),), description)


def ask(rng: Random, words: Words) -> Ask:
    """Return a request for slides about something."""
    slots = fillers(rng, words)
    text = typed(rng, _topic(rng, words, slots))
    book = phrases("slides")
    count = rng.choice(_COUNTS) if rng.random() < _SPELLED else str(rng.randint(2, 30))
    slots = {**around(rng, slots), "n": count, "deck": book.say(rng, "deck"), "for": book.say(rng, "for")}
    slots["a"] = _VOWEL.sub("an ", book.say(rng, "a", **slots))
    clause = placed(rng, book, "clause", text, slots)
    if rng.random() < _BY_COMMAND:
        return Ask("slides", capitalised(clause), clause, (text,), text.removeprefix("the "))
    request = capitalised(begun(rng, placed(rng, book, "request", text, slots)))
    value = copied(request)
    return Ask("slides", request, clause if value == text else [], (value,), shown(text.removeprefix("the "), value))


def _topic(rng: Random, words: Words, slots: Mapping[str, str]) -> str:
    kind = rng.random()
    if kind < _FACT:
        return fact(rng, words).noun
    if kind < _FACT + _DOCUMENT:
        return phrases("documents").say(rng, rng.choice(("one", "many", "about")), t=slots["noun"], **slots)
    return topic(rng, words, "office" if rng.random() < _OFFICE else "world", slots)


def result(rng: Random, words: Words, ask: Ask, tool: Tool) -> Result:
    """Return where the presentation was saved."""
    stem = re.sub(r"[^a-z0-9]+", "-", ask.subject.lower()).strip("-")[:40].strip("-") or "slides"
    if rng.random() < 0.2:
        stem = f"{words.any(rng)}{rng.choice(('-', '_', ''))}{rng.randint(1, 999)}"
    file = f"{stem}.{rng.choice(_ENDINGS)}"
    line = phrases("slides").say(rng, "result", file=file, n=str(rng.randint(3, 20)), name=words.name(rng))
    path = next(word for word in line.split(" ") if word.endswith(file)) if " " not in file else file
    return Result(line, f"The presentation is ready: {path}")
