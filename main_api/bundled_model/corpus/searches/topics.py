"""What is searched for: noun phrases of the world and of an organisation, mixed with names and words at random."""

import functools
from collections.abc import Mapping, Sequence
from random import Random
from typing import Literal

from main_api.bundled_model.corpus.language.phrases import phrases, plain_lists
from main_api.bundled_model.corpus.language.words import Words

Field = Literal["world", "office"]

_REAL = 0.45
_MIXED = 0.42
_JOINED = 0.06
_KNOWN_WORD = 0.5
_NAMED = ("place", "person", "org", "work", "event", "thing", "product")
_SIMPLE = (*_NAMED, "animal", "food", "drug", "jargon", "matter", "verb")
_NUMBERED = ("place2", "person2", "org2", "product2")
_WORDS = ("noun", "noun2", "noun3", "adjective", "adjective2")
_FILES = ("pdf", "pdf", "docx", "txt", "md", "pptx", "xlsx")


def topic(rng: Random, words: Words, field: Field, slots: Mapping[str, str] | None = None) -> str:
    """Return a noun phrase: mostly a real one, else one put together, else words without grammar."""
    kind = rng.random()
    if kind > _REAL + _MIXED:
        return words.phrase(rng) if rng.random() < 0.5 else words.name(rng)
    slots = fillers(rng, words) if slots is None else slots
    section = rng.choice(_sections(field)) if kind < _REAL else f"mixed {field}"
    text = phrases("topics").say(rng, section, **slots)
    if rng.random() < _JOINED:
        other = phrases("topics").say(rng, rng.choice(_sections(field)), **slots)
        text = f"{text} {rng.choice(('and', 'and', 'in', 'for', 'or', 'versus', 'without', 'with'))} {other}"
    return text


def fillers(rng: Random, words: Words) -> dict[str, str]:
    """Return a value for every slot of the phrase files on topics, questions and documents."""
    known = plain_lists("entities")
    year = str(rng.randint(1900, 2031) if rng.random() < 0.6 else rng.randint(2019, 2028))
    month = _pick(rng, known["month"])
    slots = {
        "year": year,
        "month": month,
        "date": f"{rng.randint(1, 28)} {month}",
        "clock": _clock(rng),
        "number": words.number(rng),
        "small": str(rng.randint(2, 40)),
        "small2": str(rng.randint(0, 9)),
        "code": f"{_pick(rng, 'ABCDEFHKLMPQRSTX')}{_pick(rng, ('', '-'))}{rng.randint(1, 9999)}",
        "name": words.name(rng),
        "name2": words.name(rng),
        "name3": words.rare(rng).capitalize(),
        "word": words.any(rng),
        "word2": words.rare(rng),
        "word3": words.rare(rng),
        "thing2": _pick(rng, known["matter"]),
        "when": _pick(rng, known["when"]).replace("{month}", month).replace("{year}", year),
    }
    slots["file"] = _file(rng, slots["word"], slots["word2"])
    for kind in _SIMPLE:
        slots[kind] = _pick(rng, known[kind])
    for kind in _NUMBERED:
        slots[kind] = _pick(rng, known[kind[:-1]])
    for kind in (_pick(rng, _NAMED), _pick(rng, _NAMED)):
        slots[kind] = words.name(rng)
    for kind in _WORDS:
        slots[kind] = _pick(rng, known[kind.rstrip("23")]) if rng.random() < _KNOWN_WORD else words.rare(rng)
    return slots


def _pick(rng: Random, values: Sequence[str]) -> str:
    """Like `choice`, in half the time: this is drawn from dozens of times a message."""
    return values[int(rng.random() * len(values))]


def _clock(rng: Random) -> str:
    hour = rng.randint(1, 12)
    return rng.choice((f"{hour} {rng.choice(('am', 'pm'))}", f"{hour + 8}:{rng.choice(('00', '15', '30', '45'))}"))


def _file(rng: Random, *stem: str) -> str:
    joint = _pick(rng, ("_", "-", "", " "))
    number = _pick(rng, ("", "", f"{joint or '_'}{rng.randint(1, 2030)}", f"{joint or '-'}v{rng.randint(1, 9)}"))
    return f"{joint.join(stem[: rng.randint(1, len(stem))])}{number}.{_pick(rng, _FILES)}"


@functools.cache
def _sections(field: Field) -> Sequence[str]:
    return [section for section in phrases("topics").sections if section.startswith(f"{field} ")]
