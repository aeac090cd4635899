"""The templates of facts, read from `phrases/facts/world/*.txt` and `phrases/facts/organisation/*.txt`.

A file is a topic. In it `[{name} (Bridge|Tunnel)]` begins the things that share a subject, whose name is that phrase;
`= opening year` begins a fact about it. Below it stand its sentences (`{x} was opened in {year}.`), its questions
(`? when was {x} opened`) and its nouns (`~ the opening year of {x}`), all of them phrases as in `language/phrases.py`.
`{x}` is the subject, the other slots are named after their values (`values.py`). Every question and noun of a fact must
hold the same slots: they tell it from the other facts. A subject without slots is one that everybody knows ("the
office"); where a question does not hold `{x}`, it asks for the subject itself ("which bridge crosses the {name2}").
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from main_api.bundled_model.corpus.language.phrases import FOLDER, PhraseError, Phrases

_FOLDER = FOLDER / "facts"
_DRAWS = 40
_SLOT = re.compile(r"\{(\w+)\}")


Lines = tuple[tuple[str, ...], ...]
"""Phrases, each as the texts that its choices make; the slots still stand in them, as in a format string."""


@dataclass(frozen=True, slots=True)
class Template:
    """A fact without its words. `slots` are to be filled, those `of_subject` first; `asked` are those that the
    questions hold. `group` is shared by the facts about one subject."""

    side: str
    topic: str
    group: str
    key: str
    attribute: str
    subject: Lines
    sentences: Lines
    questions: Lines
    nouns: Lines
    of_subject: tuple[str, ...]
    slots: tuple[str, ...]
    asked: tuple[str, ...]


@functools.cache
def templates() -> Sequence[Template]:
    """Return all templates. Raises `PhraseError`."""
    return [
        template
        for side in ("organisation", "world")
        for path in sorted((_FOLDER / side).glob("*.txt"))
        for template in read(side, path.stem, path.read_text(encoding="utf-8"))
    ]


@functools.cache
def templates_of(field: str) -> Sequence[Template]:
    """Return the templates of a side or a topic. Raises `ValueError` if it has none."""
    found = [template for template in templates() if field in (template.side, template.topic)]
    if not found:
        raise ValueError(f"There are no facts of {field!r}.")
    return found


@functools.cache
def by_key() -> Mapping[str, Template]:
    """Return the templates by their keys."""
    return {template.key: template for template in templates()}


@functools.cache
def by_group() -> Mapping[str, Sequence[Template]]:
    """Return the templates of the facts about each subject."""
    groups: dict[str, list[Template]] = {}
    for template in templates():
        groups.setdefault(template.group, []).append(template)
    return groups


@dataclass(slots=True)
class _Draft:
    subject: str
    attribute: str
    lines: dict[str, list[str]]


def read(side: str, topic: str, text: str) -> list[Template]:
    """Read one file. Raises `PhraseError`."""
    drafts: list[_Draft] = []
    subject = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        mark, rest = line[0], line[1:].strip()
        if mark == "[":
            subject = rest.removesuffix("]")
        elif mark == "=":
            drafts.append(_Draft(subject, rest, {"": [], "?": [], "~": []}))
        elif not drafts or drafts[-1].subject != subject:
            raise PhraseError(f"{topic}, line {number}: a phrase before the first fact.")
        else:
            kind = mark if mark in "?~" else ""
            drafts[-1].lines[kind].append(rest if kind else line)
    return [_template(side, topic, index, draft) for index, draft in enumerate(drafts)]


def _template(side: str, topic: str, index: int, draft: _Draft) -> Template:
    sentences, questions, nouns = draft.lines.values()
    place = f"{side}/{topic}, {draft.attribute}"
    if not (sentences and questions and nouns):
        raise PhraseError(f"{place}: no sentence, no question or no noun.")
    asked = _slots(questions[:1])
    of_subject = _slots([draft.subject])
    made = {kind: _flat(lines, place) for kind, lines in draft.lines.items()}
    for text in (text for kind in "?~" for texts in made[kind] for text in texts):
        held = set(_slots([text]))
        if held | {"x"} != {*asked, "x"} or (of_subject and (not held or ("x" in held) != ("x" in asked))):
            raise PhraseError(f"{place}: `{text}` does not hold the slots of the first question.")
    return Template(
        side=side,
        topic=topic,
        group=f"{side}/{topic}/{draft.subject}",
        key=f"{side}/{topic}/{index}",
        attribute=draft.attribute,
        subject=_flat([draft.subject], place),
        sentences=made[""],
        questions=made["?"],
        nouns=made["~"],
        of_subject=of_subject,
        slots=tuple(name for name in _slots((draft.attribute, *sentences, *questions, *nouns)) if name != "x"),
        asked=tuple(name for name in asked if name != "x" or of_subject),
    )


def _slots(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for line in lines for name in _SLOT.findall(line)))


def _flat(lines: Sequence[str], place: str) -> Lines:
    return tuple(_texts(line, place) for line in lines)


def _texts(line: str, place: str) -> tuple[str, ...]:
    """Return what the choices of a phrase make of it: all there is or nearly so."""
    book = Phrases(place, f"[line]\n{line}")
    slots = {name: f"{{{name}}}" for name in _slots([line])}
    rng = Random(0)
    return tuple(dict.fromkeys(book.say(rng, "line", **slots) for _ in range(_DRAWS if "(" in line else 1)))
