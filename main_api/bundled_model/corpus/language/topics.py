"""Things to talk about: noun phrases of `phrases/topics.txt`, names that exist and names that do not; and phrases whose
slots are filled in with such things. What is searched for has a choice of its own, `searches/topics.py`: more of it is
real, and it can be told what the web knows from what documents know."""

import re
from collections.abc import Callable, Mapping
from random import Random

from main_api.bundled_model.corpus.language.phrases import Piece, phrases
from main_api.bundled_model.corpus.language.words import Words

_SLOT = re.compile("\0([a-z]+)[0-9]*\0")
_NAMES = "topic name person place org work event thing product animal food word text language number year"
_IN_TOPICS = "adjective code date drug matter month noun small verb when jargon"
_SLOTS: Mapping[str, str] = {
    name + digit: f"\0{name}{digit}\0" for name in f"{_NAMES} {_IN_TOPICS}".split() for digit in ("", "2", "3")
}
_INVENTED = 0.3
"""How often a name is made up where names that exist are listed."""


def topic(rng: Random, words: Words) -> str:
    """Return a noun phrase."""
    roll = rng.random()
    if roll < 0.5:
        book = phrases("topics")
        return filled(rng, words, "topics", rng.choice(book.sections))
    if roll < 0.65:
        return words.name(rng)
    if roll < 0.78:
        return value(rng, words, rng.choice(("person", "place", "org", "work", "event", "thing", "product", "food")))
    if roll < 0.88:
        return f"{rng.choice(('the', 'the', 'a', ''))} {words.common(rng)} of {words.name(rng)}".strip()
    return words.phrase(rng, longest=3)


def filled(rng: Random, words: Words, book: str, section: str, **given: str) -> str:
    """Return a phrase of the file `book` with fitting values in its slots; `given` are values for some of them."""
    text = phrases(book).say(rng, section, **{**_SLOTS, **given} if given else _SLOTS)
    return _SLOT.sub(lambda found: value(rng, words, found[1]), text)


def filled_pieces(rng: Random, words: Words, book: str, section: str, **given: str) -> list[Piece]:
    """Like `filled`, in pieces, so that what is filled in is left alone by slips of the hand."""
    return [
        Piece(_SLOT.sub(lambda found: value(rng, words, found[1]), piece.text), piece.slot)
        for piece in phrases(book).pieces(rng, section, **{**_SLOTS, **given})
    ]


def value(rng: Random, words: Words, slot: str) -> str:
    """Return a value for a slot of this name."""
    made = _MADE.get(slot)
    if made:
        return made(rng, words)
    if slot in ("person", "place", "org", "work", "product", "event") and rng.random() < _INVENTED:
        return words.name(rng)
    return phrases("entities").say(rng, slot)


def _text(rng: Random, words: Words) -> str:
    return words.phrase(rng, longest=6) if rng.random() < 0.6 else topic(rng, words)


_MADE: Mapping[str, Callable[[Random, Words], str]] = {
    "topic": topic,
    "text": _text,
    "name": lambda rng, words: words.name(rng),
    "word": lambda rng, words: words.any(rng),
    "noun": lambda rng, words: words.rare(rng),
    "adjective": lambda rng, words: words.rare(rng),
    "verb": lambda rng, words: words.common(rng),
    "number": lambda rng, words: words.number(rng),
    "small": lambda rng, words: str(rng.randint(2, 60)),
    "year": lambda rng, words: str(rng.randint(1400, 2031)),
    "code": lambda rng, words: f"{rng.choice('ABCDEFGHKLMNPRSTVWXZ')}{rng.randint(2, 9999)}",
    "date": lambda rng, words: f"{rng.randint(1, 28)} {value(rng, words, 'month')}",
    "language": lambda rng, words: phrases("decline").say(rng, "name of a language"),
}
