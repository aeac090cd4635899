"""Questions answered by the one sentence of the sources that answers them, word for word."""

from collections.abc import Sequence
from random import Random

from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.conversation import Conversation, Message, answer, system, user
from main_api.bundled_model.corpus.facts import Fact, about, answers_same, fact, filler, related, same_attribute
from main_api.bundled_model.corpus.sources import heading, numbered, question
from main_api.bundled_model.corpus.words import Words

NOTHING = "The sources do not say that."
_UNANSWERABLE = 0.15


def conversation(rng: Random, words: Words) -> Conversation:
    """Return one to three questions on the same sources."""
    wanted = _wanted(rng, words, rng.choices((1, 2, 3), (6, 3, 1))[0])
    told = [one for one in wanted if rng.random() >= _UNANSWERABLE]
    passages = _passages(rng, words, wanted, told)
    sources = f"{heading(rng)}\n{numbered(rng, words, [' '.join(passage) for passage in passages])}"
    messages: list[Message] = [system(instructions.plain(rng, "extract"))]
    repeat = rng.random() < 0.5
    for number, one in enumerate(wanted):
        asked = question(rng, one)
        messages.append(user(_asked(rng, sources, asked) if number == 0 or repeat else f"Question: {asked}"))
        messages.append(answer(_answer(one, passages)))
    return Conversation("extract", messages)


def _wanted(rng: Random, words: Words, count: int) -> list[Fact]:
    """Return facts to ask for, some of them close to one another."""
    found = [fact(rng, words)]
    while len(found) < count:
        near = rng.choice((about, same_attribute))(rng, words, found[0]) if rng.random() < 0.7 else None
        one = near or fact(rng, words, found[0].field)
        if not any(answers_same(one, other) for other in found):
            found.append(one)
        elif near is None or rng.random() < 0.3:
            break
    return found


def _passages(rng: Random, words: Words, wanted: Sequence[Fact], told: Sequence[Fact]) -> list[list[str]]:
    """Return one to six passages of one to three sentences that tell `told` and do not answer the rest."""
    count = rng.choices((1, 2, 3, 4, 5, 6), (2, 4, 5, 4, 2, 1))[0]
    sizes = [rng.choices((1, 2, 3), (5, 4, 2))[0] for _ in range(count)]
    room = max(sum(sizes), len(told))
    known = list(wanted)
    sentences = [one.sentence for one in told]
    while len(sentences) < room:
        other = related(rng, words, rng.choice(wanted))
        if other is None:
            sentences.append(filler(rng, words))
        elif not any(answers_same(other, one) for one in known):
            known.append(other)
            sentences.append(other.sentence)
    rng.shuffle(sentences)
    passages: list[list[str]] = []
    for size in sizes:
        passages.append([sentences.pop() for _ in range(min(size, len(sentences)))])
    passages[-1].extend(sentences)
    return [passage for passage in passages if passage]


def _asked(rng: Random, sources: str, asked: str) -> str:
    kind = rng.random()
    if kind < 0.7:
        return f"{sources}\nQuestion: {asked}"
    if kind < 0.82:
        return f"{sources}\n\nQuestion: {asked}"
    return f"Question: {asked}\n\n{sources}" if kind < 0.92 else f"Question: {asked}\n{sources}"


def _answer(wanted: Fact, passages: Sequence[Sequence[str]]) -> str:
    for number, passage in enumerate(passages, 1):
        if wanted.sentence in passage:
            return f"{wanted.sentence} [{number}]"
    return NOTHING
