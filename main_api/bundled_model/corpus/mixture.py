"""The whole corpus: an endless stream of conversations, the same for the same seed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

from main_api.bundled_model.corpus.conversation import Conversation
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.skills import (
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
    "react": (react.conversation, 34),
    "native": (native.conversation, 12),
    "plan": (plan.conversation, 13),
    "router": (router.conversation, 8),
    "talk": (talk.conversation, 7),
    "extraction": (extraction.conversation, 10),
    "summary": (summary.conversation, 4),
    "synthesis": (synthesis.conversation, 4),
    "titles": (titles.conversation, 3),
    "research": (research.conversation, 2),
    "slides": (slides_outline.conversation, 3),
    "copying": (copying.conversation, 2),
}
"""Every skill with its share of the conversations."""


_TOGETHER: dict[str, int] = {
    "router": 5, "titles": 5, "research": 4, "slides": 4, "copying": 2, "extraction": 2, "summary": 2, "synthesis": 2,
}  # fmt: skip
"""How many short exchanges of a skill may follow one another under one system prompt. The product has one at a time, as
the first of each conversation is; together they are learned from with fewer tokens."""
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
