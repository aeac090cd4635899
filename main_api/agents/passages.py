"""Numbered passages, as searches find them, cut down to the one sentence that a copying model can answer with.

Such a model copies what it is shown and cannot weigh: of five passages it cites any, of one sentence it makes the
answer (of 14 questions about a handbook it answered none from whole passages, and 12 from the sentence that shares most
with the question). So code weighs, as it does where tools are chosen, and the model says it.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from main_api.tool_shortlist import telling_stems

_PASSAGE = re.compile(r"^\[\d{1,3}\] ", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9À-Þ])")
_ABBREVIATION = re.compile(
    r"\b(?:mr|mrs|ms|dr|prof|st|no|nr|fig|sec|ch|art|vol|pp?|vs|e\.g|i\.e|etc|approx|inc|ltd|co|[a-z])\.$",
    re.IGNORECASE,
)
_TITLE = re.compile(r"\b(Mr|Mrs|Ms|Dr|Prof|St|No|Nr)\.(?=\s)")
_BULLET = re.compile(r"^\s*(?:[-*•–]|\d{1,2}[.)])\s+")
_MARKUP = re.compile(r"^#{1,6}\s+|\*\*|`")
_LATER_PASSAGES = 0.9
"""What each place behind the first costs: the search has weighed, too, and knows more than words."""
_HEADER = 0.4
_FEWEST_WORDS = 3
_LONGEST = 300
_LONGEST_ABBREVIATION = 8
_MOST_READ = 20_000
_WRAPPED = 60
_ENDS = frozenset({"", ".", "!", "?", ":"})


@dataclass(frozen=True, slots=True)
class Telling:
    """The sentence that answers, and the place (from 0) of the passage that it is from."""

    text: str
    place: int

    @property
    def observation(self) -> str:
        """What the model is shown: it cites whatever it copies as [1], so that source has to be the first."""
        return f"[1] {self.text}"


@dataclass(frozen=True, slots=True)
class _Sentence:
    place: int
    text: str
    words: frozenset[str]
    header: frozenset[str]


def telling_sentence(content: str, request: str) -> Telling | None:
    """Return the sentence that shares the most telling words with the request; None if `content` holds no numbered
    passages."""
    sentences = [sentence for place, block in enumerate(_blocks(content)) for sentence in _sentences(block, place)]
    if not sentences:
        return None
    asked = _words(request)
    known = Counter(word for sentence in sentences for word in sentence.words | sentence.header)
    weights = {word: math.log(1 + len(sentences) / known[word]) for word in asked if word in known}
    best = max(sentences, key=lambda sentence: (_score(sentence, weights), -sentence.place))
    text = _TITLE.sub(r"\1", best.text)  # a copying model takes the dot for the end
    return Telling(text[:_LONGEST], best.place)


def _blocks(content: str) -> list[tuple[str, str]]:
    """Return header and text of each passage; one of a single line has no header."""
    content = content[:_MOST_READ]
    marks = list(_PASSAGE.finditer(content))
    if not marks:
        return []
    ends = [*(mark.start() for mark in marks[1:]), len(content)]
    blocks: list[tuple[str, str]] = []
    for mark, end in zip(marks, ends, strict=True):
        first, _, rest = content[mark.end() : end].strip().partition("\n")
        blocks.append((first, rest) if rest.strip() else ("", first))
    return blocks


def _sentences(block: tuple[str, str], place: int) -> list[_Sentence]:
    header, text = block
    header_words = _words(header)
    found = [_Sentence(place, piece, _words(piece), header_words) for piece in _split(text)]
    long = [sentence for sentence in found if len(sentence.text.split()) >= _FEWEST_WORDS]
    return long or found


def _words(text: str) -> frozenset[str]:
    return frozenset(stem.rstrip("e") for stem in telling_stems(text))  # badges and badge


def _split(text: str) -> list[str]:
    """Return the sentences of a text; items of lists and rows of tables are some of their own."""
    pieces: list[str] = []
    for paragraph in _paragraphs(text.splitlines()):
        start = 0
        for end in _SENTENCE_END.finditer(paragraph):
            if not _ABBREVIATION.search(paragraph[max(start, end.start() - _LONGEST_ABBREVIATION) : end.start()]):
                pieces.append(paragraph[start : end.start()].strip())
                start = end.end()
        pieces.append(paragraph[start:].strip())
    return [piece for piece in pieces if piece]


def _paragraphs(lines: Sequence[str]) -> list[str]:
    """Join lines that were broken for their length: those that go on in lower case, or after a long one."""
    joined: list[str] = []
    open_end = ""
    for line in lines:
        plain = _MARKUP.sub("", _BULLET.sub("", line)).strip()
        if plain and open_end and not _BULLET.match(line) and (plain[0].islower() or len(open_end) >= _WRAPPED):
            joined[-1] += f" {plain}"
        elif plain:
            joined.append(plain)
        open_end = "" if plain[-1:] in _ENDS and not _ABBREVIATION.search(plain[-_LONGEST_ABBREVIATION:]) else plain
    return joined


def _score(sentence: _Sentence, weights: dict[str, float]) -> float:
    said = sum(weight for word, weight in weights.items() if word in sentence.words)
    above = sum(weight for word, weight in weights.items() if word in sentence.header - sentence.words)
    return (said + _HEADER * above) * _LATER_PASSAGES**sentence.place
