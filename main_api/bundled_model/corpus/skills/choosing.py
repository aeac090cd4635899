"""Many requests with the right call for each, and nothing of what follows: where a model learns how people ask.

A whole ReAct run teaches one request with some three hundred tokens. Here most of them are requests and calls. The
product never has such a conversation, but each of its turns stands as one of the product's does.
"""

from collections.abc import Iterator
from random import Random

from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.ask import STANDING, Ask, KindName
from main_api.bundled_model.corpus.conversation import (
    Call,
    Conversation,
    Message,
    answer,
    as_json,
    calling,
    earlier_answer,
    segments,
    system,
    user,
)
from main_api.bundled_model.corpus.kinds import KINDS, calculation
from main_api.bundled_model.corpus.language.wording import message
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.skills.talk import out_of_scope, small_talk
from main_api.bundled_model.corpus.tool_use.acting import NO_TOOL
from main_api.bundled_model.corpus.tool_use.offer import Choice, Offer
from main_api.bundled_model.corpus.tool_use.requests import one_ask, worded

_NATIVE = 0.35
_WITHOUT_TOOLS = 0.15
_SPECIAL = 3
"""Special tools that are asked for in one conversation; each has to be offered, which costs tokens."""
_LONGEST = 1_700
_FOLLOWED_UP = 0.5


def conversation(rng: Random, words: Words) -> Conversation:
    """Return a conversation of four to nine requests, each with its call or its answer."""
    asks = _asks(rng, words, rng.randint(4, 9))
    without: KindName | None = rng.choice(STANDING) if rng.random() < 0.08 else None
    offer = Offer(rng, words, needed=asks, without=without)
    native = rng.random() < _NATIVE
    messages: list[Message] = [] if native else [system(instructions.steps(rng, offer.tools))]
    for number, ask in enumerate(asks):
        if (
            number
            and sum(len(text) for text, _ in segments(Conversation("choosing", messages, offer.tools))) > _LONGEST
        ):
            break
        if rng.random() < _WITHOUT_TOOLS:
            messages += _without_tools(rng, words, native=native)
            continue
        text = worded(rng, ask)
        choice = offer.choose(ask, text)
        messages += [user(text), _chosen(choice, native=native)]
        if choice is not None and choice.kind == "calculation" and rng.random() < _FOLLOWED_UP:
            messages += _followed_up(rng, words, offer, ask, native=native)
    return Conversation("choosing", messages, offer.tools if native else ())


def _asks(rng: Random, words: Words, count: int) -> list[Ask]:
    asks: list[Ask] = []
    special = 0
    while len(asks) < count:
        ask = one_ask(rng, words)
        special += ask.tool is not None
        if ask.tool is None or special <= _SPECIAL:
            asks.append(ask)
    return asks


def _chosen(choice: Choice | None, *, native: bool) -> Message:
    if choice is None:
        return answer(NO_TOOL if native else _step("No tool fits.", "finish", {"answer": NO_TOOL}))
    if native:
        return calling(Call(choice.tool.name, dict(choice.arguments)))
    return answer(_step(choice.thought, choice.tool.name, choice.arguments))


def _without_tools(rng: Random, words: Words, *, native: bool) -> Iterator[Message]:
    if rng.random() < 0.6:
        text, reply = small_talk(rng, words)
        thought = "No tool is needed."
    else:
        text, reply, thought = out_of_scope(rng, words), NO_TOOL, "No tool fits."
    yield user(text)
    yield answer(reply if native else _step(thought, "finish", {"answer": reply}))


def _followed_up(rng: Random, words: Words, offer: Offer, ask: Ask, *, native: bool) -> Iterator[Message]:
    """Ask the calculation again in other words, give its result as the product shows it, and go on with that."""
    result = KINDS["calculation"].result(rng, words, ask, offer.tool_for("calculation", None))
    more = calculation.follow_up(rng, words, result.observation)
    choice = offer.choose(more, "")
    if not more.request or choice is None:
        return
    yield user(worded(rng, ask))
    yield earlier_answer(result.answer)
    yield user(message(rng, more.request))
    yield _chosen(choice, native=native)


def _step(thought: str, action: str, arguments: dict[str, str]) -> str:
    return as_json({"thought": thought, "action": action, "action_input": arguments})
