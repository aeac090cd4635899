"""Reads `phrases/special/*.txt`: tools that are offered beside the standing ones, and how people ask for them.

A file is a domain. `near: a b` on a line of its own names domains that are too alike to be told apart from it. Lines
that begin with `# ` are remarks. A tool is

    [get_weather fetch_weather weather]     its names in snake case, each a phrase; a space parts them
    - Get the current weather of a city.    a description: begins with a verb in the imperative
    @ city|location: city                   an argument: its names, the first one is the slot, and the kind of value
    > 12 degrees and cloudy                 what it may return
    ! check the weather in {city}           a clause
    What's the weather like in {city}?      a request

Choices and slots are those of `language/phrases.py`. In files whose name begins with `generic` names and descriptions
have slots too (`{noun}`, `{attribute}`...): such a tool is made up anew each time.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from main_api.bundled_model.corpus.language.phrases import FOLDER, PhraseError, Phrases, plain_lists

_FOLDER = FOLDER / "special"
_MARKS = {"- ": "about", "> ": "observation", "! ": "clause"}


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument under its possible names. The first one names its slot; `kind` says what values it takes."""

    names: tuple[str, ...]
    kind: str

    @property
    def slot(self) -> str:
        return self.names[0]


@dataclass(frozen=True, slots=True)
class Spec:
    """A tool of a file: `phrases` has the sections name, about, request, clause and maybe observation."""

    domain: str
    near: tuple[str, ...]
    arguments: tuple[Argument, ...]
    phrases: Phrases

    @property
    def generic(self) -> bool:
        return self.domain.startswith("generic")


@functools.cache
def specs() -> Sequence[Spec]:
    """Return the tools of all files, in the order of their names. Raises `PhraseError`."""
    found: list[Spec] = []
    for path in sorted(_FOLDER.glob("*.txt")):
        found.extend(_read(path.stem, path.read_text(encoding="utf-8")))
    return found


@functools.cache
def standing() -> Sequence[Spec]:
    """Return the tools that are not generic."""
    return [spec for spec in specs() if not spec.generic]


@functools.cache
def generic() -> Sequence[Spec]:
    """Return the tools that are made up anew each time."""
    return [spec for spec in specs() if spec.generic]


@functools.cache
def like_standing(kind: str) -> Sequence[str]:
    """Return the domains that a request of a standing kind might mean as well (`special_beside.txt`)."""
    return " ".join(plain_lists("special_beside").get(kind, ())).split()


def _read(domain: str, text: str) -> list[Spec]:
    near: tuple[str, ...] = ()
    tools: list[list[str]] = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("# "):
            continue
        if line.startswith("near:"):
            near = tuple(line.removeprefix("near:").split())
        elif line.startswith("[") and line.endswith("]"):
            tools.append([line])
        elif tools:
            tools[-1].append(line)
        else:
            raise PhraseError(f"{domain}: `{line}` before the first tool.")
    return [_tool(domain, near, lines) for lines in tools]


def _tool(domain: str, near: tuple[str, ...], lines: list[str]) -> Spec:
    sections: dict[str, list[str]] = {"name": lines[0][1:-1].split()}
    arguments: list[Argument] = []
    for line in lines[1:]:
        if line.startswith("@ "):
            names, _, kind = line[2:].partition(":")
            arguments.append(Argument(tuple(names.strip().split("|")), kind.strip()))
            continue
        section = _MARKS.get(line[:2], "request")
        phrase = line[2:] if line[:2] in _MARKS else line
        sections.setdefault(section, []).append(f"\\{phrase}" if phrase.startswith("#") else phrase)
    missing = [section for section in ("about", "request", "clause") if section not in sections]
    if missing or not arguments:
        raise PhraseError(f"{domain}: {lines[0]} lacks {', '.join([*missing, 'arguments'])}.")
    body = "\n".join("\n".join([f"[{section}]", *phrases]) for section, phrases in sections.items())
    return Spec(domain, near, tuple(arguments), Phrases(f"{domain} {lines[0]}", body))
