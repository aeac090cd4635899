"""Other forms of an imperative clause: "sorts the list", "sorting the list"."""

from collections.abc import Sequence

from main_api.bundled_model.corpus.language.phrases import Piece

_DOUBLED = frozenset({"sum", "get", "put", "plot", "flip", "drop", "strip", "swap", "run", "cut", "split"})


def third_person(clause: Sequence[Piece]) -> list[Piece]:
    """Return "sorts …" for "sort …"; empty where the clause does not begin with its verb."""
    return _inflected(clause, _with_s(_verb(clause)))


def gerund(clause: Sequence[Piece]) -> list[Piece]:
    """Return "sorting …" for "sort …"; empty where the clause does not begin with its verb."""
    return _inflected(clause, _with_ing(_verb(clause)))


def has_and(clause: Sequence[Piece]) -> bool:
    """Say whether there may be a second verb, which would need the same form."""
    return any(" and " in piece.text for piece in clause if not piece.slot)


def _verb(clause: Sequence[Piece]) -> str:
    return "" if clause[0].slot else clause[0].text.partition(" ")[0]


def _inflected(clause: Sequence[Piece], verb: str) -> list[Piece]:
    if not verb.isalpha():
        return []
    _, blank, rest = clause[0].text.partition(" ")
    return [Piece(verb + blank + rest), *clause[1:]]


def _with_s(verb: str) -> str:
    if verb.endswith(("s", "x", "z", "ch", "sh", "o")):
        return f"{verb}es"
    return f"{verb[:-1]}ies" if verb.endswith("y") and verb[-2] not in "aeiou" else verb and f"{verb}s"


def _with_ing(verb: str) -> str:
    if verb in _DOUBLED:
        return f"{verb}{verb[-1]}ing"
    return f"{verb[:-1]}ing" if verb.endswith("e") and not verb.endswith("ee") else verb and f"{verb}ing"
