"""What a search of the web or of documents finds: numbered sources of which one answers, mostly."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from main_api.bundled_model.corpus.ask import Ask, Result
from main_api.bundled_model.corpus.facts.fact import fact
from main_api.bundled_model.corpus.facts.related import distractor, filler
from main_api.bundled_model.corpus.facts.sources import numbered
from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.wording import capital
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.searches.topics import Field, fillers, topic

NOTHING = 0.12
"""How often the sources do not say what is asked."""
_SECOND_SENTENCE = 0.25


@dataclass(frozen=True, slots=True)
class Search(Ask):
    """Remembers what its result needs: the sentence that answers it, or the topic that the sources name."""

    answer: str = ""
    topic: str = ""


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
    return capital(text)
