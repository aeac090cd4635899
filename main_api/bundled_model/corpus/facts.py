"""Invented facts in natural sentences, each with the questions that it answers.

`fact` draws one, `distractor` a sentence that does not answer it but looks as if it might. The templates are the files
below `phrases/facts/` (see `fact_templates.py`).
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from main_api.bundled_model.corpus.fact_templates import Lines, Template, templates
from main_api.bundled_model.corpus.phrases import phrases
from main_api.bundled_model.corpus.values import value
from main_api.bundled_model.corpus.words import Words

_TRIES = 4
_NAMES = ("name", "person", "invented", "code")
_SITE = "site"
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
    return said(rng, words, rng.choice(_templates_of(field or rng.choice(("world", "organisation")))))


def about(rng: Random, words: Words, fact: Fact) -> Fact | None:
    """Return another fact about the same subject; None if there is no other attribute of it."""
    template = _by_key().get(fact.template)
    others = [other for other in _group(template) if other.key != fact.template] if template else []
    if not others:
        return None
    slots = dict(fact.slots)
    kept = ("x", *others[0].of_subject, *((_SITE,) if _SITE in slots else ()))
    return said(rng, words, rng.choice(others), {name: slots[name] for name in kept})


def same_attribute(rng: Random, words: Words, fact: Fact) -> Fact | None:
    """Return a fact that says the same of something else, whose name may share words; None if nothing else has it."""
    template = _by_key().get(fact.template)
    slots = dict(fact.slots)
    if template is None or not (template.asked or _SITE in slots):
        return None
    if _SITE in slots:
        site = _akin(rng, words, slots[_SITE]) if rng.random() < 0.4 else words.name(rng)
        return said(rng, words, template, {_SITE: site}) if site.lower() != slots[_SITE].lower() else None
    asked = [name for name in template.asked if name != "x"]
    if "x" in template.asked:
        asked.extend(name for name in template.of_subject if name not in asked)
    for _ in range(_TRIES):
        kept: dict[str, str] = {}
        if asked and rng.random() < 0.55:
            changed = rng.choice(asked)
            kept = {name: slots[name] for name in asked if name != changed}
            if changed.rstrip("0123456789") in _NAMES:
                kept[changed] = _akin(rng, words, slots[changed])
            if "x" in template.asked and changed not in template.of_subject:
                kept["x"] = slots["x"]
        other = said(rng, words, template, kept)
        drawn = dict(other.slots)
        if any(drawn[name].lower() != slots[name].lower() for name in template.asked):
            return other
    return None


def distractor(rng: Random, words: Words, fact: Fact) -> str:
    """Return a sentence that does not answer `fact.question`: the same subject, the same attribute, the same field,
    or no relation at all."""
    other = related(rng, words, fact)
    return filler(rng, words) if other is None else other.sentence


def related(rng: Random, words: Words, fact: Fact) -> Fact | None:
    """Return a fact that may be taken for `fact` but does not answer its question; None if filler is better."""
    kind = rng.random()
    if kind < 0.3:
        return about(rng, words, fact)
    if kind < 0.65:
        return same_attribute(rng, words, fact)
    return unrelated(rng, words, fact) if kind < 0.85 else None


def answers_same(one: Fact, other: Fact) -> bool:
    """Whether both answer the same question."""
    if one.template != other.template:
        return False
    template = _by_key()[one.template]
    first, second = dict(one.slots), dict(other.slots)
    return first.get(_SITE, "").lower() == second.get(_SITE, "").lower() and all(
        first[name].lower() == second[name].lower() for name in template.asked
    )


def unrelated(rng: Random, words: Words, fact: Fact) -> Fact:
    """Return a fact that cannot answer `fact.question`, though it may be of the same field."""
    template = _by_key().get(fact.template)
    if template is not None and template.asked:
        choices = [other for other in _templates_of(fact.topic) if other.group != template.group]
        if choices and rng.random() < 0.6:
            return said(rng, words, rng.choice(choices))
    side = "organisation" if fact.field == "world" else "world"
    return said(rng, words, rng.choice(_templates_of(side)))


def filler(rng: Random, words: Words, kind: str = "sentence") -> str:
    """Return a sentence that says nothing which could be asked for. Those of the kind "lively" have marks and
    abbreviations in them."""
    book = phrases("facts/filler")
    sentence = book.say(rng, kind, thing=words.rare(rng), name=words.name(rng), common=words.common(rng))
    return sentence[0].upper() + sentence[1:]


def said(rng: Random, words: Words, template: Template, given: Mapping[str, str] = MappingProxyType({})) -> Fact:
    """Fill a template in; `given` are slots that are settled already."""
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
    if not template.asked and (_SITE in slots or rng.random() < _AT_SITE):
        slots[_SITE] = site = slots.get(_SITE) or words.name(rng)
        book = phrases("facts/decoration")
        sentence = book.say(rng, "site sentence", sentence=sentence, site=site)
        question, noun = (f"{text} {book.say(rng, 'site', site=site)}" for text in (question, noun))
    if rng.random() < _DECORATED:
        sentence = _decorated(rng, words, sentence, slots["x"])
    sentence = sentence.replace("..", ".")
    return Fact(
        sentence=sentence[0].upper() + sentence[1:],
        question=question[0].upper() + question[1:],
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


def _akin(rng: Random, words: Words, name: str) -> str:
    """Return a name that is much like `name`: another word or digit in it, one more word, or (of things that can be of
    several sorts, as a bridge and a station) the same."""
    parts = name.split(" ")
    digits = [index for index, character in enumerate(name) if character.isdigit()]
    if digits and rng.random() < 0.6:
        at = rng.choice(digits)
        return f"{name[:at]}{rng.randint(1, 9)}{name[at + 1 :]}"
    if len(parts) > 1 and rng.random() < 0.7:
        parts[rng.randrange(len(parts))] = words.rare(rng).capitalize()
    elif rng.random() < 0.6:
        parts.insert(rng.randint(0, len(parts)), words.rare(rng).capitalize())
    return " ".join(parts)


@functools.cache
def _openings() -> Sequence[str]:
    return sorted(phrases("facts/openings").sections, key=len, reverse=True)


@functools.cache
def _templates_of(field: str) -> Sequence[Template]:
    found = [template for template in templates() if field in (template.side, template.topic)]
    if not found:
        raise ValueError(f"There are no facts of {field!r}.")
    return found


@functools.cache
def _by_key() -> Mapping[str, Template]:
    return {template.key: template for template in templates()}


@functools.cache
def _groups() -> Mapping[str, Sequence[Template]]:
    groups: dict[str, list[Template]] = {}
    for template in templates():
        groups.setdefault(template.group, []).append(template)
    return groups


def _group(template: Template) -> Sequence[Template]:
    return _groups()[template.group]
