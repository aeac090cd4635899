"""What stands beside a fact in a text: other facts about the same thing, the same about another, and filler.

None of it answers the question of the fact that it stands beside.
"""

from random import Random

from main_api.bundled_model.corpus.facts.fact import SITE, Fact, from_template
from main_api.bundled_model.corpus.facts.templates import by_group, by_key, templates_of
from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.wording import capital
from main_api.bundled_model.corpus.language.words import Words

_TRIES = 4
_NAMES = ("name", "person", "invented", "code")


def about(rng: Random, words: Words, fact: Fact) -> Fact | None:
    """Return another fact about the same subject; None if there is no other attribute of it."""
    template = by_key().get(fact.template)
    others = [other for other in by_group()[template.group] if other.key != fact.template] if template else []
    if not others:
        return None
    slots = dict(fact.slots)
    kept = ("x", *others[0].of_subject, *((SITE,) if SITE in slots else ()))
    return from_template(rng, words, rng.choice(others), {name: slots[name] for name in kept})


def same_attribute(rng: Random, words: Words, fact: Fact) -> Fact | None:
    """Return a fact that says the same of something else, whose name may share words; None if nothing else has it."""
    template = by_key().get(fact.template)
    slots = dict(fact.slots)
    if template is None or not (template.asked or SITE in slots):
        return None
    if SITE in slots:
        site = _akin(rng, words, slots[SITE]) if rng.random() < 0.4 else words.name(rng)
        return from_template(rng, words, template, {SITE: site}) if site.lower() != slots[SITE].lower() else None
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
        other = from_template(rng, words, template, kept)
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
    template = by_key()[one.template]
    first, second = dict(one.slots), dict(other.slots)
    return first.get(SITE, "").lower() == second.get(SITE, "").lower() and all(
        first[name].lower() == second[name].lower() for name in template.asked
    )


def unrelated(rng: Random, words: Words, fact: Fact) -> Fact:
    """Return a fact that cannot answer `fact.question`, though it may be of the same field."""
    template = by_key().get(fact.template)
    if template is not None and template.asked:
        choices = [other for other in templates_of(fact.topic) if other.group != template.group]
        if choices and rng.random() < 0.6:
            return from_template(rng, words, rng.choice(choices))
    side = "organisation" if fact.field == "world" else "world"
    return from_template(rng, words, rng.choice(templates_of(side)))


def filler(rng: Random, words: Words, kind: str = "sentence") -> str:
    """Return a sentence that says nothing which could be asked for. Those of the kind "lively" have marks and
    abbreviations in them."""
    book = phrases("facts/filler")
    sentence = book.say(rng, kind, thing=words.rare(rng), name=words.name(rng), common=words.common(rng))
    return capital(sentence)


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
