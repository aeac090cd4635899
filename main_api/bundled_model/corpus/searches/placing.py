"""How what is sought sits in a message, and how it is typed. What goes into the query is one `Piece` of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from main_api.bundled_model.corpus.facts.fact import Fact
from main_api.bundled_model.corpus.language.phrases import Phrases, Piece, phrases
from main_api.bundled_model.corpus.language.wording import capital

_SLOT = "\0"
_LOWER = 0.14
_UPPER = 0.99
_SLIP = 0.04
_SAME = 0.15
_OTHERS = {"noun": "noun3", "noun2": "word3", "place": "place2", "person": "person2", "org": "org2", "name": "name3"}
_LONG_ENOUGH = 5


@dataclass(frozen=True, slots=True)
class Sought:
    """What is copied into the query. `form` says how it can stand in a sentence: as a noun ("topic"), as a question in
    direct order ("direct") or as one inside another sentence ("indirect"). Questions begin small."""

    form: str
    text: str
    subject: str
    fact: Fact | None = None
    answer: str = ""
    topic: str = ""


def placed(
    rng: Random, book: Phrases, section: str, sought: str, slots: Mapping[str, str] | None = None
) -> list[Piece]:
    """Return a phrase of `section` with `sought` in its place as the only stretch that may not be altered."""
    before, _, after = book.say(rng, section, **{**(slots or {}), "q": _SLOT}).partition(_SLOT)
    pieces = [Piece(before), Piece(sought, slot=True), Piece(after)]
    return [piece for piece in pieces if piece.text]


def around(rng: Random, slots: Mapping[str, str]) -> Mapping[str, str]:
    """Return what is named around what is sought: other things than in it, mostly."""
    return slots if rng.random() < _SAME else {**slots, **{name: slots[other] for name, other in _OTHERS.items()}}


def begun(rng: Random, pieces: list[Piece]) -> list[Piece]:
    """Begin what is copied with a capital, mostly, where it begins a sentence. It is copied as it stands."""
    at = next(index for index, piece in enumerate(pieces) if piece.slot)
    before = pieces[at - 1].text if at else ". "
    if not before.endswith((". ", "? ", "! ", ": ")) or rng.random() > (0.4 if before.endswith(": ") else 0.7):
        return pieces
    text = pieces[at].text
    return [*pieces[:at], Piece(capital(text), slot=True), *pieces[at + 1 :]]


def copied(pieces: Sequence[Piece]) -> str:
    """Return what is copied out of a message."""
    return next(piece.text for piece in pieces if piece.slot)


def shown(subject: str, value: str) -> str:
    """Return the subject as it is typed in what is copied; all of that if it is not there."""
    at = value.lower().find(subject.lower())
    return value[at : at + len(subject)] if at >= 0 and subject else value.removeprefix("the ")


def bare(rng: Random, question: str, slots: Mapping[str, str]) -> list[Piece]:
    """Return a question as a whole message, with something said before or after it at times. What is copied begins
    with a capital mostly."""
    text = capital(question) if rng.random() < 0.85 else question
    pieces = [Piece(text, slot=True)]
    if rng.random() < 0.9:
        pieces.append(Piece("?"))
    kind = rng.random()
    book = phrases("web")
    if kind < 0.12:
        return [Piece(f"{book.say(rng, 'before', **slots)} "), *pieces]
    if kind < 0.24 and len(pieces) > 1:
        return [*pieces, Piece(f" {book.say(rng, 'after', **slots)}")]
    return pieces


def typed(rng: Random, text: str) -> str:
    """Return a text as it might be typed: small letters or a slip at times. It is copied as it is typed."""
    kind = rng.random()
    if kind < _LOWER:
        text = text.lower() if kind < _LOWER * 0.6 else text.lower().replace("'", "")
    elif kind > _UPPER:
        text = text.upper()
    if rng.random() < _SLIP:
        words = text.split(" ")
        long = [index for index, word in enumerate(words) if len(word) >= _LONG_ENOUGH and word.isalpha()]
        if long:
            index = rng.choice(long)
            at = rng.randrange(1, len(words[index]) - 1)
            words[index] = words[index][:at] + words[index][at + 1 :]
        text = " ".join(words)
    return text
