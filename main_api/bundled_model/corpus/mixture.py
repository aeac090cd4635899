"""The whole corpus: an endless stream of conversations, the same for the same seed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

from main_api.bundled_model.corpus.conversation import Conversation
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.skills import (
    choosing,
    copying,
    extraction,
    native,
    plan,
    react,
    research,
    router,
    slides_outline,
    summary,
    synthesis,
    talk,
    titles,
)

Skill = Callable[[Random, Words], Conversation]

MIXTURE: dict[str, tuple[Skill, float]] = {
    "choosing": (choosing.conversation, 32),
    "react": (react.conversation, 16),
    "native": (native.conversation, 7),
    "plan": (plan.conversation, 12),
    "router": (router.conversation, 4),
    "talk": (talk.conversation, 8),
    "extraction": (extraction.conversation, 9),
    "summary": (summary.conversation, 3),
    "synthesis": (synthesis.conversation, 3),
    "titles": (titles.conversation, 3),
    "research": (research.conversation, 1),
    "slides": (slides_outline.conversation, 1),
    "copying": (copying.conversation, 1),
}
"""Every skill with its share of the conversations."""


_TOGETHER: dict[str, int] = {
    "router": 8,
    "titles": 5,
    "research": 4,
    "slides": 4,
    "copying": 2,
    "extraction": 2,
    "summary": 2,
    "synthesis": 2,
}
"""How many short exchanges of a skill may follow one another under one system prompt. The product has one at a time, as
the first of each conversation is; together they are learned from with fewer tokens. Only skills whose system prompt
says nothing of the exchange are among them."""
_LONGEST = 1_800


def conversations(
    seed: int, *, first: int = 0, held_out: bool = False, only: str | None = None
) -> Iterator[Conversation]:
    """Yield conversations without end, from number `first` on; each depends on the seed and its number alone.
    `held_out` takes its words from those that training never sees; `only` names one skill."""
    words = Words(held_out=held_out)
    names = list(MIXTURE) if only is None else [only]
    weights = [MIXTURE[name][1] for name in names]
    number = first
    while True:
        rng = Random(f"{seed}/{held_out}/{number}")
        name = rng.choices(names, weights)[0]
        yield _together(rng, words, MIXTURE[name][0], rng.randint(1, _TOGETHER.get(name, 1)))
        number += 1


def _together(rng: Random, words: Words, skill: Skill, count: int) -> Conversation:
    """Return a conversation of up to `count` exchanges, fewer where they are long."""
    first = skill(rng, words)
    messages = list(first.messages)
    for _ in range(count - 1):
        if sum(len(message.content) for message in messages) > _LONGEST:
            break
        messages += [message for message in skill(rng, words).messages if message.role != "system"]
    return replace(first, messages=messages)
