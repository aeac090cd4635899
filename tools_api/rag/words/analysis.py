"""What can be found of a text: its words in order, and beside them what is written as one word but made of several.

A text goes into two fields. `body` holds words one after the other, for questions and phrases: *getUserName* is three
of them there, *heat-transfer* two; scripts that put no spaces between words (Chinese, Japanese, Thai, …) become
overlapping pairs of characters. `whole` holds the compounds written together (`getusername`, `heattransfer`,
`20241120`), and single ideographs. So each is found as a whole and by its parts, and *email* finds *e-mail*.

What is done here goes before tantivy's own analyzers, which cut at everything that is no letter or digit, lower, fold
accents and stem; see `schema.py`. Texts and questions take the same way.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\uac00-\ud7af"  # kana, Hangul
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # ideographs
)
_UNSPACED_RUN = re.compile(f"[{_UNSPACED}]+")
_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_CAMEL_BORDER = re.compile(
    r"(?<=[a-z])(?=[A-Z])"  # user|Name
    r"|(?<=[A-Z])(?=[A-Z](?:[a-rt-z]|s[a-z]))"  # HTTP|Server, but not the plural in APIs
    r"|(?<=[0-9])(?=[A-Z][a-z])"  # utf8|Decode
)
_POSSESSIVE = re.compile(r"['’]s\b")
_COMPOUND = re.compile(
    r"(?<![^\W_])(?:"
    r"[^\W_]++(?:(?:[_\-.:@&'’\u2010\u2011]{1,2}+|(?<=\d),(?=\d))[^\W_]++)+"  # user_name, e-mail, 1,000, std::vector
    r"|[^\W_]*?(?:[a-z0-9][A-Z]|[A-Z][A-Z](?:[a-rt-z]|s[a-z]))[^\W_]*+"  # userName, HTTPServer
    r"|[A-Za-z]\w{0,20}?(?:\+\+|\#)(?!\w)"  # C++, C#
    r")"
)
_JOINTS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Analysed:
    """A text as the two fields take it, tokens apart by white space."""

    body: str
    whole: str


def analyse(text: str) -> Analysed:
    """Return the text's two fields. Takes time linear in its length, whatever it holds."""
    pieces = [_known(piece) if len(piece) <= _REMEMBERED_LENGTH else _piece(piece) for piece in text.split()]
    return Analysed(" ".join([body for body, _ in pieces]), " ".join([whole for _, whole in pieces if whole]))


def _piece(piece: str) -> tuple[str, str]:
    """Return what stands between two white spaces as the two fields take it."""
    plain = _normalised(piece)
    whole = [_joined(match[0]) for match in _COMPOUND.finditer(plain)]
    body = _CAMEL_BORDER.sub(" ", _POSSESSIVE.sub("", plain))
    if not plain.isascii():
        whole += _IDEOGRAPH.findall(plain)
        body = _UNSPACED_RUN.sub(_pairs, body)
    return body, " ".join(whole)


_known = lru_cache(maxsize=50_000)(_piece)  # few words make most of every text
_REMEMBERED_LENGTH = 40


def _normalised(text: str) -> str:
    """Return the text with one spelling for what looks the same, and without the marks that tantivy would cut at.

    Those are marks of a combining class: accents left over by NFKC, Arabic and Hebrew vowel points, the virama.
    """
    if text.isascii():
        return text
    composed = unicodedata.normalize("NFKC", text.encode(errors="ignore").decode())  # without halves of surrogates
    return "".join(character for character in composed if not unicodedata.combining(character))


def _pairs(run: re.Match[str]) -> str:
    characters = run[0]
    if len(characters) == 1:
        return f" {characters} "
    return f" {' '.join(map(''.join, pairwise(characters)))} "


def _joined(compound: str) -> str:
    """Return a compound in one piece; of `C++` and `C#` the sign is what matters."""
    if compound.endswith(("++", "#")):
        return compound
    return _JOINTS.sub("", _POSSESSIVE.sub("", compound))
