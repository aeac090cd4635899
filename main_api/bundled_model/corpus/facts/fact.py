"""Invented facts in natural sentences, each with the questions that it answers.

The templates are the files below `phrases/facts/` (see `templates.py`), what fills them is in `values.py`. What may be
taken for an answer but is none is in `related.py`.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from main_api.bundled_model.corpus.facts.templates import Lines, Template, templates_of
from main_api.bundled_model.corpus.facts.values import value
from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.wording import capital
from main_api.bundled_model.corpus.language.words import Words

SITE = "site"
"""The slot that says where something holds that is otherwise known by itself: "the office" of which town."""
_AT_SITE = 0.3
_DECORATED = 0.18
_OTHER_OPENING = 0.3
_LISTED = 0.07
"""How often a fact is told as in a table: "opening year of Harrow Bridge: 1932"."""


@dataclass(frozen=True, slots=True)
class Fact:
    """`sentence` ends with its full stop. `question` is a direct question without its mark, which begins with a capital
    and a question word (so it may be written small), `noun` what is asked for as a noun phrase ("the opening year of
    Harrow Bridge"), `subject` the thing that it is about, `attribute` what is said of it. `field` tells facts of the
    `world` from facts of an `organisation`'s documents, `topic` is narrower. `template` and `slots` are for
    `distractor`."""

    sentence: str
    question: str
    noun: str
    subject: str
    attribute: str
    field: str
    topic: str = ""
    template: str = ""
    slots: tuple[tuple[str, str], ...] = ()


def fact(rng: Random, words: Words, field: str | None = None) -> Fact:
    """Return a fact of `field`: "world", "organisation" or a topic of either ("geography", "leave"); None for any."""
    return from_template(rng, words, rng.choice(templates_of(field or rng.choice(("world", "organisation")))))


def from_template(
    rng: Random, words: Words, template: Template, given: Mapping[str, str] = MappingProxyType({})
) -> Fact:
    """Return a fact made of a template; `given` are slots that are settled already."""
    slots = dict(given)
    for name in (*template.of_subject, *template.slots):
        if name not in slots:
            slots[name] = value(rng, words, name)
    if "x" not in slots:
        slots["x"] = _one(rng, template.subject).format_map(slots)
    sentence, question = (_one(rng, lines).format_map(slots) for lines in (template.sentences, template.questions))
    noun = _one(rng, template.nouns).format_map(slots)
    told = [name for name in template.slots if name not in template.asked and name not in template.of_subject]
    if len(told) == 1 and noun.startswith("the ") and rng.random() < _LISTED:
        sentence = f"{noun}: {slots[told[0]]}." if rng.random() < 0.5 else f"{noun[4:]}: {slots[told[0]]}."
    if rng.random() < _OTHER_OPENING:
        question = _begun_otherwise(rng, question)
    if not template.asked and (SITE in slots or rng.random() < _AT_SITE):
        slots[SITE] = site = slots.get(SITE) or words.name(rng)
        book = phrases("facts/decoration")
        sentence = book.say(rng, "site sentence", sentence=sentence, site=site)
        question, noun = (f"{text} {book.say(rng, 'site', site=site)}" for text in (question, noun))
    if rng.random() < _DECORATED:
        sentence = _decorated(rng, words, sentence, slots["x"])
    sentence = sentence.replace("..", ".")
    return Fact(
        sentence=capital(sentence),
        question=capital(question),
        noun=noun,
        subject=slots["x" if "x" in template.asked or not template.asked else template.asked[0]],
        attribute=template.attribute.format_map(slots),
        field=template.side,
        topic=template.topic,
        template=template.key,
        slots=tuple(slots.items()),
    )


def _begun_otherwise(rng: Random, question: str) -> str:
    """Return the question with another beginning, where there is one: "can I" for "may I"."""
    book = phrases("facts/openings")
    for opening in _openings():
        if question.startswith(f"{opening} "):
            return f"{book.say(rng, opening)}{question.removeprefix(opening)}"
    return question


def _decorated(rng: Random, words: Words, sentence: str, subject: str) -> str:
    """Return the sentence with something in front of it, behind it or in it that does not matter."""
    number = str(rng.randint(2, 40))
    if sentence.startswith(f"{subject} ") and rng.random() < 0.4:
        aside = phrases("facts/decoration").say(rng, "between", name=words.name(rng), thing=words.rare(rng), n=number)
        return f"{subject}{'' if aside.startswith(',') else ' '}{aside}{sentence.removeprefix(subject)}"
    section = rng.choice(("before", "after"))
    return phrases("facts/decoration").say(rng, section, s=sentence[:-1], name=words.name(rng), n=number)


def _one(rng: Random, lines: Lines) -> str:
    return rng.choice(rng.choice(lines))


@functools.cache
def _openings() -> Sequence[str]:
    return sorted(phrases("facts/openings").sections, key=len, reverse=True)
