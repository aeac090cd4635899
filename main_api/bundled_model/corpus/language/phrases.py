"""Phrase files: many ways to say one thing, as plain text that is easy to read and to widen.

A file has sections (`[name]` on a line of its own) of one phrase a line; lines that begin with `#` are remarks.
In a phrase `(a|b|)` is a choice, which may be empty and may be nested, and `{name}` is a slot. A backslash before one
of `( ) | { } \\` means the character itself, `\\n` a new line.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

FOLDER = Path(__file__).parents[1] / "phrases"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a phrase. `slot` tells text that was filled in, which may not be altered, from the wording."""

    text: str
    slot: bool = False


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple["_Sequence", ...]


_Sequence = tuple["str | _Slot | _Choice", ...]


class PhraseError(ValueError):
    """A phrase file is malformed; the message names the file and the line."""


class Phrases:
    """The phrases of one file, by section. Raises `PhraseError`."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._sections: dict[str, list[_Sequence]] = {}
        for section, place, line in _lines(name, text):
            self._sections.setdefault(section, []).append(_Parser(line, place).parsed())

    @property
    def sections(self) -> Sequence[str]:
        return list(self._sections)

    def count(self, section: str) -> int:
        """Return the number of phrases of a section, its choices not multiplied."""
        return len(self._sections[section])

    def say(self, rng: Random, section: str, **slots: str) -> str:
        """Return one phrase of `section` at random with its slots filled in."""
        return "".join(piece.text for piece in self.pieces(rng, section, **slots))

    def pieces(self, rng: Random, section: str, **slots: str) -> list[Piece]:
        """Like `say`, but with what was filled in told from the wording."""
        phrases = self._sections.get(section)
        if not phrases:
            raise PhraseError(f"{self._name} has no phrases in a section [{section}].")
        pieces = list(_expanded(rng.choice(phrases), rng, slots, self._name))
        return _tidied(pieces)


@functools.cache
def phrases(name: str) -> Phrases:
    """Return the phrase file `name` (without `.txt`). Raises `PhraseError`."""
    path = FOLDER / f"{name}.txt"
    return Phrases(path.name, path.read_text(encoding="utf-8"))


@functools.cache
def plain_lists(name: str) -> Mapping[str, Sequence[str]]:
    """Return the lines of the file `name` by section as they stand, choices and slots unread. Raises `PhraseError`."""
    found: dict[str, list[str]] = {}
    for section, _, line in _lines(f"{name}.txt", (FOLDER / f"{name}.txt").read_text(encoding="utf-8")):
        found.setdefault(section, []).append(line)
    return found


def _lines(name: str, text: str) -> Iterator[tuple[str, str, str]]:
    """Yield every line with its section and its place."""
    section = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        place = f"{name}, line {number}"
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif section:
            yield section, place, line
        else:
            raise PhraseError(f"{place}: a phrase before the first section.")


def _expanded(sequence: _Sequence, rng: Random, slots: Mapping[str, str], name: str) -> Iterator[Piece]:
    for part in sequence:
        match part:
            case str():
                yield Piece(part)
            case _Slot():
                if part.name not in slots:
                    raise PhraseError(f"{name}: a phrase wants {{{part.name}}}, which is not given.")
                yield Piece(slots[part.name], slot=True)
            case _Choice():
                yield from _expanded(rng.choice(part.options), rng, slots, name)


def _tidied(pieces: list[Piece]) -> list[Piece]:
    """Undo the doubled blanks that an empty choice leaves behind, and blanks at both ends."""
    tidy: list[Piece] = []
    for piece in pieces:
        text = piece.text
        if not piece.slot:
            if text.startswith(" ") and (not tidy or tidy[-1].text.endswith(" ")):
                text = text.lstrip(" ")
            text = " ".join(text.split(" ")) if "  " not in text else " ".join(text.split())
        if text and tidy and not piece.slot and not tidy[-1].slot:
            tidy[-1] = Piece(tidy[-1].text + text)
        elif text:
            tidy.append(Piece(text, piece.slot))
    if tidy and not tidy[-1].slot:
        tidy[-1] = Piece(tidy[-1].text.rstrip(" "))
    return [piece for piece in tidy if piece.text]


class _Parser:
    """Reads one phrase."""

    def __init__(self, line: str, place: str) -> None:
        self._line = line
        self._place = place
        self._at = 0

    def parsed(self) -> _Sequence:
        return self._sequence(ends="")

    def _sequence(self, ends: str) -> _Sequence:
        parts: list[str | _Slot | _Choice] = []
        text = ""
        while self._at < len(self._line):
            character = self._line[self._at]
            if character in ends:
                break
            self._at += 1
            if character == "\\":
                escaped = self._line[self._at : self._at + 1]
                text += "\n" if escaped == "n" else escaped
                self._at += 1
            elif character in "({":
                if text:
                    parts.append(text)
                    text = ""
                parts.append(self._choice() if character == "(" else self._slot())
            else:
                text += character
        if text:
            parts.append(text)
        return tuple(parts)

    def _choice(self) -> _Choice:
        options = [self._sequence(ends="|)")]
        while self._next() == "|":
            options.append(self._sequence(ends="|)"))
        return _Choice(tuple(options))

    def _next(self) -> str:
        if self._at >= len(self._line):
            raise PhraseError(f"{self._place}: a choice is not closed.")
        self._at += 1
        return self._line[self._at - 1]

    def _slot(self) -> _Slot:
        end = self._line.find("}", self._at)
        if end < 0:
            raise PhraseError(f"{self._place}: a slot is not closed.")
        name = self._line[self._at : end]
        self._at = end + 1
        return _Slot(name)
