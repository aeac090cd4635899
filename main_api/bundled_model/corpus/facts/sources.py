"""Numbered sources with something in front of them, as retrieval and search return them."""

import re
from collections.abc import Sequence
from random import Random

from main_api.bundled_model.corpus.facts.fact import Fact
from main_api.bundled_model.corpus.language.phrases import Piece, phrases
from main_api.bundled_model.corpus.language.wording import capital, message, small
from main_api.bundled_model.corpus.language.words import Words

_TURNED = ("was", "is", "are", "were", "has", "can", "may", "must", "should", "will")
_WHETHER = ("is", "are", "was", "were", "may", "do", "does", "can", "has")
_SUBJECT = ("who", "which", "what", "whose", "how many")
_HELPED = re.compile(r"\b(did|do|does|is|are|was|were|may|can|must|will|should)\b")
_MARKED = 0.3
"""How often a source begins with its title or file."""


def numbered(rng: Random, words: Words, passages: Sequence[str]) -> str:
    """Return the passages as `[1] …` lines, all of them with a title or a file in front or none."""
    style = rng.choice(("file", "title", "mixed")) if rng.random() < _MARKED else ""
    lines = (f"{_mark(rng, words, style)}{passage}" if style else passage for passage in passages)
    gap = "\n" if rng.random() < 0.9 else "\n\n"
    return gap.join(f"[{number}] {line}" for number, line in enumerate(lines, 1))


def heading(rng: Random) -> str:
    """Return the line above numbered sources."""
    return phrases("sources").say(rng, "head")


def question(rng: Random, fact: Fact) -> str:
    """Return a message that asks for `fact`: its question, or what is asked for, with slips of the hand."""
    inner = small(fact.question)
    slots = {"Q": fact.question, "q": inner, "noun": fact.noun, "indirect": indirect(inner, fact.subject)}
    text = phrases("sources").say(rng, "question", **slots)
    return message(rng, [Piece(capital(text) if rng.random() < 0.6 else text)])


def indirect(question: str, subject: str) -> str:
    """Return "when the bridge was opened" for "when was the bridge opened"; what cannot be turned stays direct."""
    for verb in _TURNED:
        asked, found, rest = question.partition(f" {verb} {subject}")
        if found and (not rest or rest.startswith(" ")) and not asked.startswith(_WHETHER):
            return f"{asked} {subject} {verb}{rest}"
        if question.startswith(f"{verb} {subject} "):
            return f"whether {subject} {verb} {question.removeprefix(f'{verb} {subject} ')}"
    return question if question.startswith(_SUBJECT) and not _HELPED.search(question) else f"this: {question}"


def _mark(rng: Random, words: Words, style: str) -> str:
    book = phrases("sources")
    slots = {
        "name": words.name(rng),
        "word": words.any(rng),
        "word2": words.any(rng),
        "year": str(rng.randint(1998, 2030)),
        "few": str(rng.randint(1, 14)),
        "letter": rng.choice("ABCDE"),
        "page": str(rng.randint(1, 240)),
    }
    while True:
        mark = book.say(
            rng, "mark", file=book.say(rng, "file", **slots), title=book.say(rng, "title", **slots), **slots
        )
        if style == "mixed" or ("." in mark) == (style == "file"):
            return f"{mark} "
