"""The whole corpus: an endless stream of conversations, the same for the same seed."""

from collections.abc import Callable, Iterator
from random import Random

from main_api.bundled_model.corpus.conversation import Conversation
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
from main_api.bundled_model.corpus.words import Words

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
    "slides": (slides_outline.conversation, 2),
    "copying": (copying.conversation, 1),
}
"""Every skill with its share of the conversations."""


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
        skill = MIXTURE[rng.choices(names, weights)[0]][0]
        yield skill(rng, words)
        number += 1
