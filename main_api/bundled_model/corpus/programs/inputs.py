"""What a request for a program is about: as typed, in code, and as values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.words import Words


@dataclass(frozen=True, slots=True)
class Inputs:
    """By slot: what is typed, what is put into the program, and what to compute its output from."""

    typed: Mapping[str, str]
    code: Mapping[str, str]
    values: Mapping[str, Any]
    text: str = ""
    """A free text that is quoted or not, as its place in the request allows; `typed` does not hold it."""


def listed(rng: Random, items: Sequence[str]) -> str:
    """Join items as people do: commas, blanks, "and", brackets."""
    joined = ", ".join(items)
    short = all(len(item) < 3 for item in items)
    ways = (
        (10, joined),
        (4, f"{', '.join(items[:-1])} and {items[-1]}"),
        (2, f"{', '.join(items[:-1])}, and {items[-1]}"),
        (4, f"[{joined}]"),
        (1, f"({joined})"),
        (3, " ".join(items)),
        (1, f"{' '.join(items[:-1])} and {items[-1]}"),
        (1, "; ".join(items)),
        (1, f"[{','.join(items)}]"),
        (1.5 if short else 0, ",".join(items)),
        (0.5, f"[{' '.join(items)}]"),
        (0.3, " and ".join(items)),
        (0.3, " | ".join(items)),
        (0.2, "\n".join(items)),
    )
    return rng.choices([text for _, text in ways], [weight for weight, _ in ways])[0]


def as_list(items: Sequence[str]) -> str:
    """Return texts as a list of Python."""
    return "[" + ", ".join(f'"{item}"' for item in items) + "]"


def usual(rng: Random, section: str) -> str:
    """Return a name that people use: of a file, a column, a label … (a section of `phrases/code_inputs.txt`)."""
    return phrases("code_inputs").say(rng, section)


Maker = Callable[[Random, Words], Inputs]
"""Makes the inputs of one kind, which a task names (`Task.inputs`)."""
