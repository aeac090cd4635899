"""What the two searches, of the web and of documents, have in common: how what is sought sits in a message, and what
is found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from main_api.bundled_model.corpus.ask import Ask, Result
from main_api.bundled_model.corpus.facts import Fact, distractor, fact, filler
from main_api.bundled_model.corpus.phrases import Phrases, Piece, phrases
from main_api.bundled_model.corpus.sources import numbered
from main_api.bundled_model.corpus.topics import Field, fillers, topic
from main_api.bundled_model.corpus.words import Words

NOTHING = 0.12
"""How often the sources do not say what is asked."""

_SLOT = "\0"
_LOWER = 0.14
_UPPER = 0.99
_SLIP = 0.04
_SAME = 0.15
_OTHERS = {"noun": "noun3", "noun2": "word3", "place": "place2", "person": "person2", "org": "org2", "name": "name3"}
_LONG_ENOUGH = 5
_SECOND_SENTENCE = 0.25


@dataclass(frozen=True, slots=True)
class Search(Ask):
    """Remembers what its result needs: the sentence that answers it, or the topic that the sources name."""

    answer: str = ""
    topic: str = ""


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
    return [*pieces[:at], Piece(text[:1].upper() + text[1:], slot=True), *pieces[at + 1 :]]


def copied(pieces: Sequence[Piece]) -> str:
    """Return what is copied out of a message."""
    return next(piece.text for piece in pieces if piece.slot)


def shown(subject: str, value: str) -> str:
    """Return the subject as it is typed in what is copied; all of that if it is not there."""
    at = value.lower().find(subject.lower())
    return value[at : at + len(subject)] if at >= 0 and subject else value.removeprefix("the ")


def capitalised(pieces: Sequence[Piece]) -> list[Piece]:
    """Begin a message with a capital, unless it begins with what is copied."""
    first, *rest = pieces
    return [first if first.slot else Piece(first.text[:1].upper() + first.text[1:]), *rest]


def bare(rng: Random, question: str, slots: Mapping[str, str]) -> list[Piece]:
    """Return a question as a whole message, with something said before or after it at times. What is copied begins
    with a capital mostly."""
    text = question[:1].upper() + question[1:] if rng.random() < 0.85 else question
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


def small(question: str) -> str:
    """Return a question as it stands inside a sentence."""
    return question[:1].lower() + question[1:]


def found(rng: Random, words: Words, ask: Ask, field: Field) -> Result:
    """Return sources and the answer by them; where they do not answer, the answer says so."""
    nothing = "The search found nothing about that." if field == "world" else "The documents do not say that."
    answered = rng.random() >= NOTHING
    count = rng.choices((1, 2, 3, 4), (25, 35, 25, 15))[0]
    slots = fillers(rng, words)
    sentence = _answer(rng, ask, field, slots)
    passages = [_other(rng, words, ask, field, slots) for _ in range(count)]
    passages = [passage for passage in passages if sentence not in passage]
    if not answered:
        return Result(numbered(rng, words, passages or [filler(rng, words)]), nothing)
    at = rng.randint(0, min(len(passages), count - 1))
    passages[at : at + 1] = [_passage(rng, words, sentence, ask)]
    return Result(numbered(rng, words, passages), f"{sentence} [{at + 1}]")


def _answer(rng: Random, ask: Ask, field: Field, slots: Mapping[str, str]) -> str:
    if ask.fact is not None:
        return ask.fact.sentence
    if isinstance(ask, Search) and ask.answer:
        return ask.answer
    return _named(rng, ask.topic if isinstance(ask, Search) and ask.topic else ask.subject, field, slots)


def _passage(rng: Random, words: Words, sentence: str, ask: Ask) -> str:
    """Return the sentence with another beside it at times: after it, or before it where it is told by what it says."""
    if rng.random() >= _SECOND_SENTENCE:
        return sentence
    other = filler(rng, words)
    by_name = ask.fact is None and isinstance(ask, Search) and not ask.answer
    return f"{sentence} {other}" if by_name or rng.random() < 0.5 else f"{other} {sentence}"


def _other(rng: Random, words: Words, ask: Ask, field: Field, slots: Mapping[str, str]) -> str:
    """Return a sentence that does not answer."""
    if ask.fact is not None:
        return distractor(rng, words, ask.fact)
    kind = rng.random()
    if kind < 0.45:
        return _named(rng, topic(rng, words, field, slots), field, slots)
    if kind < 0.8:
        return fact(rng, words, "world" if field == "world" else "organisation").sentence
    return filler(rng, words)


def _named(rng: Random, subject: str, field: Field, slots: Mapping[str, str]) -> str:
    text = phrases("findings").say(rng, field, **slots, t=subject)
    return text[:1].upper() + text[1:]
