"""Native tool calls by the chat template: none, one, or several in one turn, their results and the answer."""

from collections.abc import Sequence
from random import Random

from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.ask import Ask
from main_api.bundled_model.corpus.conversation import (
    Call,
    Conversation,
    Message,
    answer,
    calling,
    earlier_answer,
    observed,
    system,
    user,
)
from main_api.bundled_model.corpus.language.wording import capital
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.skills.talk import out_of_scope, small_talk
from main_api.bundled_model.corpus.tool_use.acting import NO_TOOL, Event, events, together
from main_api.bundled_model.corpus.tool_use.offer import Offer
from main_api.bundled_model.corpus.tool_use.parts import joined
from main_api.bundled_model.corpus.tool_use.requests import planned, worded

_SAME_AGAIN = (" and for ", " and also for ", ", and the same for ", " as well as for ", " and then for ")


def conversation(rng: Random, words: Words) -> Conversation:
    """Return a conversation of one to three requests with the tools of the body."""
    requests = [planned(rng, words) for _ in range(rng.choices((1, 2, 3), (50, 35, 15))[0])]
    needed = [ask for asks in requests for ask in asks]
    without = rng.choice(needed).kind if needed and rng.random() < 0.06 else None
    offer = Offer(rng, words, needed=needed, without=without)
    messages: list[Message] = [system(instructions.plain(rng, "chat"))] if rng.random() < 0.5 else []
    for number, asks in enumerate(requests):
        turn = _turn(rng, words, offer, asks)
        if number < len(requests) - 1 and rng.random() < 0.4:
            turn = [turn[0], earlier_answer(turn[-1].content)]
        messages += turn
    return Conversation("native", messages, offer.tools)


def _turn(rng: Random, words: Words, offer: Offer, asks: Sequence[Ask]) -> list[Message]:
    if not asks:
        if rng.random() < 0.55:
            text, reply = small_talk(rng, words)
            return [user(text), answer(reply)]
        return [user(out_of_scope(rng, words)), answer(NO_TOOL)]
    if len(asks) == 1 and asks[0].kind in ("special", "web", "documents") and rng.random() < 0.15:
        twice = _same_again(rng, words, offer, asks[0])
        if twice:
            return twice
    text = worded(rng, asks[0]) if len(asks) == 1 else joined(rng, asks)
    return [user(text), *_work(rng, words, offer, asks, text)]


def _work(rng: Random, words: Words, offer: Offer, asks: Sequence[Ask], text: str) -> list[Message]:
    """Make all calls in one turn; what failed is called again in the next."""
    chosen = [(ask, choice) for ask in asks if (choice := offer.choose(ask, text)) is not None]
    if not chosen:
        return [answer(NO_TOOL)]
    histories = [list(events(rng, words, offer, ask, choice)) for ask, choice in chosen]
    messages = _round(histories, 0)
    if any(len(history) > 1 for history in histories):
        messages += _round([history for history in histories if len(history) > 1], 1)
    sentences = [history[-1].says for history in histories]
    sentences += [NO_TOOL] * (len(asks) > len(chosen))
    return [*messages, answer(together(sentences))]


def _round(histories: Sequence[Sequence[Event]], number: int) -> list[Message]:
    happened = [history[number] for history in histories]
    calls = [Call(event.choice.tool.name, dict(event.choice.arguments)) for event in happened]
    return [calling(*calls), *(observed(event.observation) for event in happened)]


def _same_again(rng: Random, words: Words, offer: Offer, ask: Ask) -> list[Message]:
    """Ask one thing for two values: "the weather in Rome and in Oslo"."""
    if len(ask.values) != 1 or not ask.clause or not ask.clause[-1].slot or ask.clause[-1].text != ask.values[0]:
        return []
    choice = offer.choose(ask, "web")
    if choice is None:
        return []
    other = _like(rng, words, ask.values[0])
    text = "".join(piece.text for piece in ask.clause) + rng.choice(_SAME_AGAIN) + other
    calls = [Call(choice.tool.name, {choice.tool.arguments[0]: value}) for value in (ask.values[0], other)]
    results = [offer.result(rng, words, ask, choice) for _ in calls]
    return [
        user(capital(text) + rng.choice((".", "", "", "!"))),
        calling(*calls),
        *(observed(result.observation) for result in results),
        answer(together([result.answer for result in results])),
    ]


def _like(rng: Random, words: Words, value: str) -> str:
    """Return another value of the same look."""
    if any(character.isdigit() for character in value):
        return "".join(str(rng.randrange(10)) if character.isdigit() else character for character in value)
    return words.name(rng) if value[:1].isupper() else words.phrase(rng, longest=max(1, min(4, value.count(" ") + 1)))
