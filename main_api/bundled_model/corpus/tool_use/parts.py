"""Requests with several parts: how they are joined, and which part uses the result of an earlier one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from main_api.bundled_model.corpus.ask import Ask, KindName
from main_api.bundled_model.corpus.kinds import KINDS
from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.wording import capital, message, small
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.tool_use.requests import JOINED, some_ask

_SECTIONS = {2: "two", 3: "three", 4: "four", 5: "five"}
_SLOTS = "abcde"
_DEPENDENT: tuple[KindName, ...] = ("slides", "calculation", "code", "web", "documents")
_NUMBERS = ("3", "5", "8", "10", "12", "4", "6", "7", "15", "20")
_SENTENCES = 0.15
_SPECIAL = 0.4
"""How often special tools may be needed too."""
_BUILDING_ON = 0.45
"""How often a later part uses what an earlier one found."""
_LINKS = (
    "",
    "",
    "And ",
    "Also, ",
    "Also: ",
    "Then ",
    "Then: ",
    "Next: ",
    "After that, ",
    "And then ",
    "Second: ",
    "Plus: ",
)
_ALL = re.compile(r"\b(everything|all of|findings|results|facts)\b")
_BOTH = re.compile(r"\b(both|two)\b")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a request: its own words, and the numbers (from 1) of the parts whose results it uses."""

    text: str
    kind: KindName
    needs: tuple[int, ...]
    ask: Ask | None


@dataclass(frozen=True, slots=True)
class Parts:
    """A whole request and its parts in order."""

    text: str
    parts: Sequence[Part]


def joined(rng: Random, asks: Sequence[Ask]) -> str:
    """Return one message that asks for all of `asks`, in order. Each must have a clause."""
    return _together(rng, [message(rng, ask.clause) for ask in asks])


def parts(rng: Random, words: Words, count: int) -> Parts:
    """Return a request of `count` parts; a later part may build on earlier ones."""
    kinds: Sequence[KindName] = (*JOINED, "special") if rng.random() < _SPECIAL else JOINED
    if rng.random() < _SENTENCES:
        return _sentences(rng, [KINDS[rng.choice(kinds)].ask(rng, words) for _ in range(count)])
    found: list[Part] = []
    for number in range(1, count + 1):
        if number > 1 and rng.random() < _BUILDING_ON:
            kind = rng.choices(_DEPENDENT, (5, 3, 2, 2, 2))[0]
            text = phrases("parts").say(rng, f"dependent {kind}", n=rng.choice(_NUMBERS))
            found.append(Part(text, kind, _needs(text, number), None))
        else:
            ask = some_ask(rng, words, kinds=kinds)
            found.append(Part(message(rng, ask.clause), ask.kind, (), ask))
    text = _together(rng, [part.text for part in found])
    return Parts(text, [replace(part, text=_as_written(part.text, text)) for part in found])


def _needs(clause: str, number: int) -> tuple[int, ...]:
    """Return the parts whose results `clause`, the part `number`, uses: the one before, both, or all of them."""
    if _ALL.search(clause):
        return tuple(range(1, number))
    return tuple(range(max(1, number - 2), number)) if _BOTH.search(clause) else (number - 1,)


def _as_written(clause: str, text: str) -> str:
    """Return `clause` as it stands in `text`, where it may begin with a capital."""
    return clause if clause in text else capital(clause)


def _sentences(rng: Random, asks: Sequence[Ask]) -> Parts:
    """Put whole messages one after the other: "What is 12 * 7? Also: who painted …?"."""
    found: list[Part] = []
    texts: list[str] = []
    for number, ask in enumerate(asks):
        text = message(rng, ask.request)
        link = rng.choice(_LINKS) if number else ""
        if link and not link.endswith(": "):
            text = small(text)
        texts.append(link + (text if text.endswith((".", "?", "!")) else f"{text}{rng.choice('..;')}"))
        found.append(Part(text.rstrip(".?!"), ask.kind, (), ask))
    return Parts(" ".join(texts), found)


def _together(rng: Random, clauses: Sequence[str]) -> str:
    if len(clauses) == 1:
        return clauses[0]
    slots: dict[str, str] = {}
    for slot, clause in zip(_SLOTS, clauses, strict=False):
        slots[slot] = clause
        slots[slot.upper()] = capital(clause)
    book = phrases("parts")
    text = book.say(rng, _SECTIONS[len(clauses)], **slots)
    text = capital(text) if rng.random() < 0.75 else text
    return text if rng.random() < 0.35 else text.rstrip(".") + book.say(rng, "end")
