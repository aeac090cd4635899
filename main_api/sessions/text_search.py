"""How text becomes FTS5 tokens, and how what a person typed becomes a query that cannot be read as FTS5 syntax.

SQLite's `unicode61` tokenizer splits at spaces and punctuation and folds case and accents. Chinese, Japanese and Korean
write words without spaces (Korean: with particles glued on), so an invisible separator goes between their characters;
a word of theirs is then a phrase of single characters, and is found in the middle of a sentence too.
"""

import re
import unicodedata

_SEPARATOR = "\u2063"  # INVISIBLE SEPARATOR: no letter to the tokenizer, and stripped from what is shown
_MARK_START, _MARK_END = "\x02", "\x03"
_CJK = re.compile(
    "([\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff])"
)
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_MAX_TERMS = 16

SNIPPET = f"snippet(texts, 1, '{_MARK_START}', '{_MARK_END}', '…', 24)"
"""The SQL that cuts a piece of about 24 tokens around the first hits."""


def indexed_text(text: str) -> str:
    """Prepare text for the index: composed (NFC), without control characters, CJK characters set apart."""
    composed = unicodedata.normalize("NFC", text)
    return _CJK.sub(rf"{_SEPARATOR}\1{_SEPARATOR}", _UNWANTED.sub(" ", composed))


def match_expression(typed: str, *, owner: str) -> str | None:
    """Build the FTS5 query: every word of `typed` must occur, as the beginning of a word at least.

    Each word is quoted, so no character of it has a meaning of its own. None when there is no word to look for.
    """
    terms = [f'"{word}"*' for chunk in indexed_text(typed).split() if (word := _term(chunk))]
    if not terms:
        return None
    return f'owner : "{owner}" AND text : ({" AND ".join(terms[:_MAX_TERMS])})'


def shown_snippet(raw: str) -> tuple[str, list[tuple[int, int]]]:
    """Turn what `SNIPPET` gave into plain text and the [start, end) offsets of the hits in it."""
    pieces = re.split(f"([{_MARK_START}{_MARK_END}])", raw.replace(_SEPARATOR, ""))
    text, hits, start = "", list[tuple[int, int]](), 0
    for piece in pieces:
        if piece == _MARK_START:
            start = len(text)
        elif piece == _MARK_END:
            hits.append((start, len(text)))
        else:
            text += piece
    return text, hits


def _term(chunk: str) -> str | None:
    """Keep a chunk that has a letter or digit: FTS5 lets a phrase without any match nothing at all."""
    if not any(unicodedata.category(char)[0] in "LN" for char in chunk):
        return None
    return chunk.replace('"', " ")
