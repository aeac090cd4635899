"""Summaries: the first sentence of every source with its number."""

from random import Random

from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.conversation import Conversation, answer, system, user
from main_api.bundled_model.corpus.facts.fact import Fact, fact
from main_api.bundled_model.corpus.facts.related import about, distractor, filler
from main_api.bundled_model.corpus.facts.sources import heading, numbered
from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.words import Words

_NUMBERED = 0.85
_ON_ONE_THING = 0.4
_FILLER = 0.12
_CUT = 0.08


def conversation(rng: Random, words: Words) -> Conversation:
    """Return the summary of numbered sources, sometimes of a plain text."""
    if rng.random() < _NUMBERED:
        topic, passages = _sources(rng, words)
        text = f"{heading(rng)}\n{numbered(rng, words, [' '.join(passage) for passage in passages])}"
        kind = rng.random()
        if kind < 0.35:
            text = f"{text}\nTopic: {topic}"
        elif kind < 0.55:
            text = f"Topic: {topic}\n{text}"
        summary = " ".join(f"{passage[0]} [{number}]" for number, passage in enumerate(passages, 1))
    else:
        passage = _passage(rng, words, fact(rng, words))
        text = phrases("sources").say(rng, "plain", text=" ".join(passage))
        summary = passage[0]
    return Conversation("summary", [system(instructions.plain(rng, "summary")), user(text), answer(summary)])


def _sources(rng: Random, words: Words) -> tuple[str, list[list[str]]]:
    count = rng.choices((1, 2, 3, 4, 5, 6), (2, 4, 5, 4, 2, 1))[0]
    told = [fact(rng, words) for _ in range(count)]
    if rng.random() < _ON_ONE_THING:
        told = [told[0], *(about(rng, words, told[0]) or one for one in told[1:])]
    topic = rng.choice((told[0].subject, told[0].noun, words.phrase(rng, longest=3)))
    return topic, [_passage(rng, words, one) for one in told]


def _passage(rng: Random, words: Words, first: Fact) -> list[str]:
    sentences = [first.sentence]
    sentences.extend(distractor(rng, words, first) for _ in range(rng.choices((0, 1, 2, 3), (3, 4, 3, 1))[0]))
    kind = rng.random()
    if kind < _FILLER:
        sentences[0] = filler(rng, words, rng.choice(("sentence", "lively")))
    elif kind < 2 * _FILLER:
        sentences.append(filler(rng, words, "lively"))
    elif kind > 1 - _CUT:
        sentences[-1] = _cut(rng, sentences[-1])
    return sentences


def _cut(rng: Random, sentence: str) -> str:
    """Return what is left of a sentence where a passage was cut off."""
    parts = sentence.split(" ")
    return " ".join(parts[: rng.randint(min(3, len(parts)), len(parts))]).rstrip(".,;:")
