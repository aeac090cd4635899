"""Rich text: its words, without what controls them. After the algorithm of Word's RTF specification 1.9.1."""

from __future__ import annotations

import re

from blocks import Bounds, Content, Refused, clean, paragraphs

_TOKEN = re.compile(
    r"\\(?P<word>[a-z]{1,32})(?P<number>-?\d{1,10})?[ ]?|\\'(?P<hex>[0-9a-f]{2})|\\(?P<symbol>[^a-z])|(?P<brace>[{}])"
    r"|[\r\n]+|(?P<plain>[^\\{}\r\n]+)",
    re.IGNORECASE,
)
_DESTINATIONS = """
fonttbl colortbl stylesheet info pict object header headerl headerr headerf footer footerl footerr footerf
listtable listoverridetable rsidtbl generator xmlnstbl themedata colorschememapping datastore latentstyles
fldinst revtbl private xe tc bkmkstart bkmkend pntext nonshppict
"""
_UNSEEN = frozenset(_DESTINATIONS.split())
_WORDS = {
    "par": "\n\n",
    "sect": "\n\n",
    "page": "\n\n",
    "line": "\n",
    "tab": "\t",
    "cell": " | ",
    "row": "\n",
    "emdash": "—",
    "endash": "–",
    "bullet": "•",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
}
_SYMBOLS = {"~": " ", "_": "-", "\n": "\n\n", "\r": "\n\n", "\\": "\\", "{": "{", "}": "}"}
_DEEPEST = 10_000


def parse_rtf(data: bytes, bounds: Bounds) -> Content:
    """Parse rich text. Raises `Refused`."""
    text = data.decode("latin-1")
    if "\\rtf" not in text[:20]:
        raise Refused("broken", "It is no rich text.")
    codepage = re.search(r"\\ansicpg(\d{3,5})", text[:1000])
    reader = _Reader(f"cp{codepage[1]}" if codepage else "cp1252", bounds)
    for token in _TOKEN.finditer(text):
        reader.take(token)
    return Content("application/rtf", list(paragraphs(clean(reader.text))))


class _Reader:
    """Follows the groups: each has its own idea of what is seen, and of how many characters stand in for another."""

    def __init__(self, encoding: str, bounds: Bounds) -> None:
        try:
            b"".decode(encoding)
        except LookupError:
            encoding = "cp1252"
        self._encoding = encoding
        self._bounds = bounds
        self._parts: list[str] = []
        self._characters = 0
        self._groups: list[tuple[bool, int]] = []
        self._is_unseen = False
        self._stand_ins = 1
        self._to_skip = 0

    @property
    def text(self) -> str:
        """Join what was read; two halves of a character become one."""
        return "".join(self._parts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def take(self, token: re.Match[str]) -> None:
        """Take a token."""
        word, symbol = token["word"], token["symbol"]
        if token["brace"]:
            self._group(token["brace"])
        elif symbol == "*" or word in _UNSEEN:
            self._is_unseen = True
        elif self._is_unseen:
            return
        elif word:
            self._word(word, token["number"])
        elif token["hex"]:
            self._stand_in(bytes.fromhex(token["hex"]).decode(self._encoding, "replace"))
        elif symbol:
            self._add(_SYMBOLS.get(symbol, ""))
        elif token["plain"]:
            self._stand_in(token["plain"])

    def _group(self, brace: str) -> None:
        self._to_skip = 0
        if brace == "}":
            self._is_unseen, self._stand_ins = self._groups.pop() if self._groups else (False, 1)
            return
        self._groups.append((self._is_unseen, self._stand_ins))
        if len(self._groups) > _DEEPEST:
            raise Refused("too_complex", "It is nested too deeply to be read.")

    def _word(self, word: str, number: str | None) -> None:
        if word == "uc":
            self._stand_ins = min(int(number or 1), 8)
        elif word == "u" and number:
            self._add(chr(int(number) % 65536))
            self._to_skip = self._stand_ins
        elif word == "v":
            self._is_unseen = number != "0"  # hidden text, up to the end of its group
        else:
            self._add(_WORDS.get(word, ""))

    def _stand_in(self, text: str) -> None:
        """Add text, without those characters that stand in for one that came before."""
        skipped = min(self._to_skip, len(text))
        self._to_skip -= skipped
        self._add(text[skipped:])

    def _add(self, text: str) -> None:
        self._characters += len(text)
        self._bounds.check_characters(self._characters)
        self._parts.append(text)
