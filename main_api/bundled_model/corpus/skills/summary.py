"""Summaries: the first sentence of every source with its number."""

from random import Random

from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.conversation import Conversation, answer, system, user
from main_api.bundled_model.corpus.facts import distractor, fact, filler
from main_api.bundled_model.corpus.phrases import phrases
from main_api.bundled_model.corpus.sources import heading, numbered
from main_api.bundled_model.corpus.words import Words

_NUMBERED = 0.85


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
        passage = _passage(rng, words)
        text = phrases("sources").say(rng, "plain", text=" ".join(passage))
        summary = passage[0]
    return Conversation("summary", [system(instructions.plain(rng, "summary")), user(text), answer(summary)])


def _sources(rng: Random, words: Words) -> tuple[str, list[list[str]]]:
    count = rng.choices((1, 2, 3, 4, 5, 6), (2, 4, 5, 4, 2, 1))[0]
    passages = [_passage(rng, words) for _ in range(count)]
    return rng.choice((fact(rng, words).subject, words.phrase(rng, longest=3), words.name(rng))), passages


def _passage(rng: Random, words: Words) -> list[str]:
    first = fact(rng, words)
    sentences = [first.sentence]
    for _ in range(rng.choices((0, 1, 2, 3), (3, 4, 3, 1))[0]):
        sentences.append(distractor(rng, words, first))
    if rng.random() < 0.15:
        sentences[0] = filler(rng, words)
    return sentences
