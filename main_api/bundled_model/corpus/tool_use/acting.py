"""What happens when a request is worked on: calls, errors, results and the final sentence, in steps or native calls."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from main_api.bundled_model.corpus.ask import Ask
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.tool_use.failures import error, failed
from main_api.bundled_model.corpus.tool_use.offer import Choice, Offer

NO_TOOL = "I have no tool for that."
_FAILS = 0.13
_FAILS_AGAIN = 0.4


@dataclass(frozen=True, slots=True)
class Event:
    """One call and what came back; `again` when it repeats a failed one. `says` is the sentence for the answer, empty
    while it is open."""

    choice: Choice
    observation: str
    again: bool
    says: str


def events(rng: Random, words: Words, offer: Offer, ask: Ask, choice: Choice) -> Iterator[Event]:
    """Yield what happens until `ask` has its sentence: success, or an error and one more try."""
    if rng.random() < _FAILS:
        reason = error(rng)
        yield Event(choice, reason, again=False, says="")
        if rng.random() < _FAILS_AGAIN:
            reason = error(rng) if rng.random() < 0.5 else reason
            yield Event(choice, reason, again=True, says=failed(choice.tool.name, reason))
            return
        result = offer.result(rng, words, ask, choice)
        yield Event(choice, result.observation, again=True, says=result.answer)
        return
    result = offer.result(rng, words, ask, choice)
    yield Event(choice, result.observation, again=False, says=result.answer)


def together(sentences: Sequence[str]) -> str:
    """Return the final answer of a request with several parts."""
    return " ".join(sentences)
