"""Words to fill phrases with: common and rare English words, names that exist and names that do not, numbers.

The list is wordfreq's (40,000 English words by frequency). One word in eight is held out of training, chosen by its
hash, so that copying is validated on words that were never seen.
"""

import functools
import hashlib
import re
from collections.abc import Sequence
from random import Random

_COUNT = 40_000
_COMMON = 2_500
_ONSETS = (
    *("b", "bl", "br", "c", "ch", "cl", "cr", "d", "dr", "f", "fl", "fr", "g", "gl", "gr", "h", "j", "k", "kl", "kr"),
    *("l", "m", "n", "p", "pl", "pr", "qu", "r", "s", "sc", "sh", "sk", "sl", "sm", "sn", "sp", "st", "str", "t"),
    *("th", "tr", "v", "w", "y", "z"),
)
_VOWELS = ("a", "e", "i", "o", "u", "a", "e", "i", "o", "u", "ai", "ea", "ee", "ie", "oo", "ou", "au", "oi")
_CODAS = (
    *("", "", "", "b", "d", "g", "k", "l", "m", "n", "p", "r", "s", "t", "x", "z", "ck", "ct", "ld", "lm", "ln", "lt"),
    *("mp", "nd", "ng", "nk", "nt", "rd", "rk", "rm", "rn", "rt", "sh", "sk", "st", "th"),
)
_UNWANTED = re.compile(
    "fuck|shit|porn|bitch|cunt|nigg|^rap(e|es|ed|ist|ists)$|nazi|slut|whore|fag(s|got)|^cock(s|y)?$|^dick(s|head)?$|penis|vagin"
    "|^anal$|sex|masturb|blowjob|boob|^tits?$|^cum(s|ming)?$|^twats?$|auschwitz|holocaust|incest|pedoph|hitler"
)
_CAMEL = ("Soft", "Net", "Labs", "Works", "Link", "Hub", "Flow", "Base", "Kit", "Cloud")


class Words:
    """Words of one split. `held_out` is for validation: rare words that training never sees."""

    def __init__(self, *, held_out: bool = False) -> None:
        common, rare = _split()
        self._common = common
        self._rare = [word for word in rare if _is_held_out(word) == held_out]

    def common(self, rng: Random) -> str:
        """Return one of the most frequent words."""
        return self._common[int(len(self._common) * rng.random() ** 1.5)]

    def rare(self, rng: Random) -> str:
        """Return a less frequent word."""
        return rng.choice(self._rare)

    def invented(self, rng: Random) -> str:
        """Return a word that does not exist, of one to four syllables."""
        syllables = rng.choices((1, 2, 3, 4), (1, 4, 3, 1))[0]
        return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables))

    def any(self, rng: Random) -> str:
        """Return a word of any kind."""
        return rng.choices((self.common, self.rare, self.invented), (2, 6, 2))[0](rng)

    def name(self, rng: Random) -> str:
        """Return a name as of a person, a place, a firm or a product: mostly one to three capitalised words."""
        kind = rng.random()
        if kind < 0.08:
            return self.rare(rng).capitalize() + rng.choice(_CAMEL)
        if kind < 0.14:
            return f"{self._part(rng)} {rng.randint(2, 999)}"
        if kind < 0.18:
            return "".join(rng.choice("ABCDEFGHIKLMNOPRSTVWXZ") for _ in range(rng.randint(2, 5)))
        return " ".join(self._part(rng) for _ in range(rng.choices((1, 2, 3), (4, 5, 1))[0]))

    def phrase(self, rng: Random, *, shortest: int = 1, longest: int = 5) -> str:
        """Return words without grammar, to be copied as they are."""
        return " ".join(self.any(rng) for _ in range(rng.randint(shortest, longest)))

    def number(self, rng: Random) -> str:
        """Return a number in digits: mostly short, sometimes with decimals."""
        digits = rng.choices((1, 2, 3, 4, 5, 6, 8), (5, 8, 6, 4, 2, 1, 1))[0]
        number = str(rng.randint(10 ** (digits - 1), 10**digits - 1))
        return f"{number}.{rng.randint(1, 99)}" if rng.random() < 0.1 else number

    def _part(self, rng: Random) -> str:
        return (self.rare if rng.random() < 0.7 else self.invented)(rng).capitalize()


@functools.cache
def _split() -> tuple[Sequence[str], Sequence[str]]:
    import wordfreq

    words = [
        word
        for word in wordfreq.top_n_list("en", _COUNT)
        if word.isascii() and word.isalpha() and len(word) > 1 and not _UNWANTED.search(word)
    ]
    return words[:_COMMON], words[_COMMON:]


def frequent_words() -> Sequence[str]:
    """Return all words, the most frequent first."""
    common, rare = _split()
    return [*common, *rare]


def _is_held_out(word: str) -> bool:
    return hashlib.md5(word.encode(), usedforsecurity=False).digest()[0] % 8 == 0
