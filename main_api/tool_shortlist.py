"""Which of many tools a small model is shown: those that the request's own words speak for.

A small model knows the tools that it was trained on by their names. Among others it guesses, where counting the words
that a request shares with a tool's name, description and arguments seldom does (of 95 hand-written requests that share
any, 93 kept their tool, with 1.3 of 3.8 tools left). So code narrows the choice and the model makes it; where no words
are shared, it is shown all.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

KNOWN_TO_SMALL_MODELS = frozenset({"calculator", "websearch", "web_search", "rag", "python_coder", "ppt_maker"})
"""Tools that such a model chooses by their meaning, and better than words do."""

_LONGEST_SENTENCE = 160
_END_OF_SENTENCE = re.compile(r"\.\s|\n|[,;:(]? *\b(?:for example|for instance|such as|e\.g\.)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ENDINGS = ("ing", "tion", "ed", "es", "s")
_STEM = 5
_NEARLY_BEST = 0.5
_SAY_NOTHING = frozenset(
    {
        "a", "about", "all", "an", "and", "any", "are", "as", "at", "be", "by", "can", "could", "do", "does",
        "for", "from", "get", "give", "have", "how", "i", "in", "into", "is", "it", "make", "me", "my", "of",
        "on", "one", "only", "or", "please", "some", "tell", "that", "the", "this", "to", "two", "use", "what",
        "when", "where", "which", "who", "will", "with", "would", "you", "your",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ToolWords:
    """What a tool says of itself."""

    name: str
    description: str
    arguments: tuple[str, ...] = ()


def spoken_of(request: str, tools: Sequence[ToolWords]) -> list[int]:
    """Return the positions of the tools that share the most telling words with `request`: at least half as many as the
    best of them. None where no words are shared, or where the best is a tool that small models know."""
    scores = _scores(request, tools)
    best = max(scores, default=0.0)
    if best == 0 or tools[scores.index(best)].name in KNOWN_TO_SMALL_MODELS:
        return []
    return [position for position, score in enumerate(scores) if score >= best * _NEARLY_BEST]


def one_sentence(description: str) -> str:
    """Return what a tool does in one plain sentence, without the examples, which a small model would copy."""
    sentence = _END_OF_SENTENCE.split(description.strip(), maxsplit=1)[0][:_LONGEST_SENTENCE]
    return f"{sentence.rstrip('.')}."


def telling_stems(text: str) -> frozenset[str]:
    """Return the words of a text that say something, each without its ending."""
    words = (word.lower() for word in _WORD.findall(_CAMEL.sub(" ", text)))
    return frozenset(_stem(word) for word in words if word not in _SAY_NOTHING)


def _scores(request: str, tools: Sequence[ToolWords]) -> list[float]:
    """Return for every tool the words that it shares with `request`, each worth more the fewer tools have it."""
    asked = telling_stems(request)
    said = [telling_stems(" ".join((tool.name, one_sentence(tool.description), *tool.arguments))) for tool in tools]
    occurrences = Counter(stem for stems in said for stem in stems)
    return [sum(math.log(1 + len(tools) / occurrences[stem]) for stem in asked & stems) for stems in said]


def _stem(word: str) -> str:
    """Return a word without its ending, cut short: `booking` and `books` become `book`."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) > 2:
            word = word.removesuffix(ending)
            break
    return word[:_STEM]
