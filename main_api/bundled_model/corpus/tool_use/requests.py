"""Single requests: of which kind, how many at once, and how each becomes a message."""

from collections.abc import Sequence
from random import Random

from main_api.bundled_model.corpus.ask import STANDING, Ask, KindName
from main_api.bundled_model.corpus.kinds import KINDS
from main_api.bundled_model.corpus.language.wording import framed, message
from main_api.bundled_model.corpus.language.words import Words

JOINED: tuple[KindName, ...] = ("web", "documents", "calculation", "code", "slides")
"""The standing kinds in the order in which parts of a request are drawn from them."""
_KINDS: tuple[KindName, ...] = (*STANDING, "special")
_WEIGHTS = (18, 22, 19, 19, 9, 24)
_NONE = 0.12
_SEVERAL = 0.15


def one_ask(rng: Random, words: Words) -> Ask:
    """Return a request of one kind, the kinds by how often they are asked for."""
    return KINDS[rng.choices(_KINDS, _WEIGHTS)[0]].ask(rng, words)


def some_ask(rng: Random, words: Words, *, kinds: Sequence[KindName] = (*JOINED, "special")) -> Ask:
    """Return a request of a random kind that can be said as a clause."""
    kind = KINDS[rng.choice(kinds)]
    while True:
        ask = kind.ask(rng, words)
        if ask.clause:
            return ask


def planned(rng: Random, words: Words) -> list[Ask]:
    """Return what one message asks for: nothing that a tool is needed for, one thing, or two or three."""
    roll = rng.random()
    if roll < _NONE:
        return []
    if roll < _NONE + _SEVERAL:
        return [some_ask(rng, words) for _ in range(2 if rng.random() < 0.85 else 3)]
    return [one_ask(rng, words)]


def worded(rng: Random, ask: Ask) -> str:
    """Return `ask` as a message: its own wording, or its clause in a frame."""
    return message(rng, framed(rng, ask.clause) if ask.clause and rng.random() < 0.5 else ask.request)
