"""The templates of facts, read from `phrases/facts/world/*.txt` and `phrases/facts/organisation/*.txt`.

A file is a topic. In it `[{name} (Bridge|Tunnel)]` begins the things that share a subject, whose name is that phrase;
`= opening year` begins a fact about it. Below it stand its sentences (`{x} was opened in {year}.`), its questions
(`? when was {x} opened`) and its nouns (`~ the opening year of {x}`), all of them phrases as in `phrases.py`. `{x}` is
the subject, the other slots are named after their values (`values.py`). Every question and noun of a fact must hold
the same slots: they tell it from the other facts. A subject without slots is one that everybody knows ("the office").
"""

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from main_api.bundled_model.corpus.phrases import PhraseError, Phrases

_FOLDER = Path(__file__).with_name("phrases") / "facts"
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A fact without its words. `sections` are those of `book` with its sentences, questions and nouns; `subject` and
    `attribute` are sections too. `slots` are to be filled, those `of_subject` first; `asked` are those that the
    questions hold. `group` is shared by the facts about one subject."""

    side: str
    topic: str
    group: str
    key: str
    book: Phrases
    subject: str
    attribute: str
    sections: tuple[str, str, str]
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


def read(side: str, topic: str, text: str) -> list[Template]:
    """Read one file. Raises `PhraseError`."""
    facts: list[tuple[str, str, list[str], list[str], list[str]]] = []
    subject = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        mark, rest = line[0], line[1:].strip()
        if mark == "[":
            subject = rest.removesuffix("]")
        elif mark == "=":
            facts.append((subject, rest, [], [], []))
        elif not facts or facts[-1][0] != subject:
            raise PhraseError(f"{topic}, line {number}: a phrase before the first fact.")
        else:
            facts[-1][{"?": 3, "~": 4}.get(mark, 2)].append(rest if mark in "?~" else line)  # type: ignore[arg-type]
    return [_template(side, topic, index, fact) for index, fact in enumerate(facts)]


def _template(side: str, topic: str, index: int, fact: tuple[str, str, list[str], list[str], list[str]]) -> Template:
    subject, attribute, sentences, questions, nouns = fact
    place = f"{side}/{topic}, {attribute}"
    asked = _slots(questions[:1])
    if not (sentences and questions and nouns):
        raise PhraseError(f"{place}: no sentence, no question or no noun.")
    for line in (*questions, *nouns):
        if set(_slots([line])) != set(asked):
            raise PhraseError(f"{place}: `{line}` does not hold the slots of the first question.")
    sections = {"x": [subject], "a": [attribute], "s": sentences, "q": questions, "n": nouns}
    book = Phrases(place, "\n".join(f"[{name}]\n" + "\n".join(lines) for name, lines in sections.items()))
    of_subject = _slots([subject])
    return Template(
        side=side,
        topic=topic,
        group=f"{topic}/{subject}",
        key=f"{topic}/{index}",
        book=book,
        subject="x",
        attribute="a",
        sections=("s", "q", "n"),
        of_subject=of_subject,
        slots=tuple(name for name in _slots((attribute, *sentences, *questions, *nouns)) if name != "x"),
        asked=tuple(name for name in asked if name != "x" or of_subject),
    )


def _slots(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for line in lines for name in _SLOT.findall(line)))
