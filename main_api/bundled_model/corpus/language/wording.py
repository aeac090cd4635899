"""What happens to a clean phrase before it is a message: politeness, context around it, slips of the hand.

What was filled into a slot is never altered, because it is copied into arguments.
"""

from collections.abc import Sequence
from random import Random

from main_api.bundled_model.corpus.language.phrases import Piece, phrases

_TYPOS = 0.07
_LOWER = 0.22
_BARE_END = 0.3
_NEXT_KEYS = {"a": "s", "e": "r", "i": "o", "o": "p", "n": "m", "s": "d", "t": "y", "r": "t", "l": "k", "h": "j"}
_LONG_ENOUGH = 4


def framed(rng: Random, clause: Sequence[Piece]) -> list[Piece]:
    """Make a message of an imperative clause: "could you …?", "… please", "I need you to …"."""
    pieces = phrases("frames").pieces(rng, "clause", clause="\0")
    around = "".join(piece.text for piece in pieces)
    before, _, after = around.partition("\0")
    return capitalised([piece for piece in (Piece(before), *clause, Piece(after)) if piece.text])


def message(rng: Random, pieces: Sequence[Piece]) -> str:
    """Return the text of a message as it is typed, with slips in the wording."""
    lower, typos = rng.random() < _LOWER, rng.random() < _TYPOS
    texts: list[str] = []
    for piece in pieces:
        text = piece.text
        if not piece.slot:
            if lower:
                text = text.lower()
            if typos:
                text = _with_typo(rng, text)
        texts.append(text)
    if rng.random() < _BARE_END and not pieces[-1].slot:
        texts[-1] = texts[-1].rstrip(".?!")
    return "".join(texts).strip()


def capital(text: str) -> str:
    """Return `text` with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def small(text: str) -> str:
    """Return `text` with a small letter at its beginning, as a question stands inside a sentence."""
    return text[:1].lower() + text[1:]


def capitalised(pieces: Sequence[Piece]) -> list[Piece]:
    """Begin with a capital, unless it begins with what was filled in."""
    first, *rest = pieces
    return [first if first.slot else Piece(capital(first.text)), *rest]


def _with_typo(rng: Random, text: str) -> str:
    words = text.split(" ")
    long = [index for index, word in enumerate(words) if len(word) >= _LONG_ENOUGH and word.isalpha()]
    if not long:
        return text
    index = rng.choice(long)
    word = words[index]
    at = rng.randrange(1, len(word) - 1)
    match rng.randrange(4):
        case 0:
            word = word[:at] + word[at + 1 :]
        case 1:
            word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 2:
            word = word[:at] + word[at] + word[at:]
        case _:
            word = word[:at] + _NEXT_KEYS.get(word[at], word[at]) + word[at + 1 :]
    words[index] = word
    return " ".join(words)
